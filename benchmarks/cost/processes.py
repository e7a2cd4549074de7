"""Measurements in processes of their own, and the memory of a process."""

import multiprocessing
import pathlib


def resident(key="VmRSS:"):
    """Return a figure of this process' memory in MiB (Linux).

    Args:
        key: `"VmRSS:"` for what it has, `"VmHWM:"` for the most it has had.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def forget_peak():
    """Let the most that this process has had count from now on (Linux)."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def context(*modules):
    """Return what makes processes from one that has only imported some modules."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(list(modules))
    return made


def in_new_process(maker, function, *arguments):
    """Return what a function returns in a process of its own."""
    ours, theirs = maker.Pipe()
    process = maker.Process(target=_send, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _send(connection, function, arguments):
    connection.send(function(*arguments))
