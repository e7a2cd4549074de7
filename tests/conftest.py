"""Settings and fixtures of all tests: quiet backend, one torch thread, fixed seeds, no windows."""

import gc
import operator
import os
import pathlib
import signal

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's: two on two busy cores are 60 times slower
# Hundreds of tests compile the same few steps: JAX then takes them from disk.
compiled = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(compiled))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import pytest

# The same examples in every run, and no limit on the time that one takes: a first call compiles.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")

collect_ignore_glob = ["oracles/record_*.py"]  # scripts that need the peers installed


# Keras is imported in the fixture: the process that only hands out the tests does without it.


# The one place that leaves tests out on an older Keras: those of what it lacks.
NEEDED = {
    "optimizers.MultiOptimizer": "there are no optimizers by layer before Keras 3.15",
    "optimizers.ScheduleFreeAdamW": "there is no Schedule-Free before Keras 3.14",
    "optimizers.Muon.lr_adjust": "Keras 3.10's Muon raises on TensorFlow, on its own too",
    "callbacks.ReduceLROnPlateau._is_improvement": "before Keras 3.11 a first NaN counts",
}
DOCTESTS = {"SwapScheduleFreeWeights": "optimizers.ScheduleFreeAdamW"}


def pytest_collection_modifyitems(config, items):
    """Leave out the tests marked `needs(name)` where this Keras has no `keras.<name>`."""
    import keras

    def is_lacking(name):
        try:
            operator.attrgetter(name)(keras)
        except AttributeError:
            return True
        return False

    lacking = {name for name in NEEDED if is_lacking(name)}

    def is_left_out(item):
        needs = {name for mark in item.iter_markers("needs") for name in mark.args}
        needs |= {DOCTESTS[part] for part in item.name.split(".") if part in DOCTESTS}
        unknown = needs - set(NEEDED)
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} needs {unknown}, which NEEDED does not list")
        return bool(needs & lacking)

    left_out = [item for item in items if is_left_out(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session", autouse=True)
def imports_frozen():
    """Keep the garbage collector from walking through the backend's modules again and again."""
    import keras  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    """Seed every generator, so that a failure can be run again alone."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture
def backend():
    """The name of the backend under test."""
    return os.environ["KERAS_BACKEND"]


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Let SIGINT raise, also where a shell has started this with the signal ignored, as by `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
