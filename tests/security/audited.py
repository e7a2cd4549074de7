"""The script of `test_audit`, in a process of its own: what Python does while the library is used.

`python audited.py FOLDER` prints a JSON object: by use, the classes that were unpickled, the files
that were written and the processes and connections that were begun. `allowed` names a folder.
"""

import functools
import json
import os
import pathlib
import sys

import keras
import numpy as np

from benchmarks.uses import CALLBACKS, FIT, SEARCHES, X, compiled, fit_with

BEGUN = ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGED = ("os.rename", "os.remove", "os.mkdir", "os.link", "os.symlink", "shutil.rmtree")


class Audit:
    """Notes what happens while it is told to; a hook cannot be taken off again."""

    def __init__(self):
        self.found, self.use = {}, None
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if self.use is None:
            return
        found = self.found[self.use]
        if event == "pickle.find_class":
            found["unpickled"].append(".".join(map(str, arguments)))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            found["written"].append(str(arguments[0]))
        elif event in CHANGED:
            found["changed"].append(str(arguments[0]))
        elif event in BEGUN:
            found["begun"].append(f"{event}: {arguments[0]}")

    def during(self, use, function, *arguments):
        """Call a function and note what happens."""
        self.found[use] = {"unpickled": [], "written": [], "changed": [], "begun": []}
        self.use = use
        try:
            return function(*arguments)
        finally:
            self.use = None


def results_read_again(results):
    """Write every result as JSON, and read it again."""
    for result in results:
        written = json.dumps(result.to_dict())
        read = type(result).from_dict(json.loads(written))
        assert json.dumps(read.to_dict()) == written


def main(folder):
    """Return what happens in each use."""
    import keras_lr as klr

    audit = Audit()
    for name in CALLBACKS:
        model, place = compiled(name), str(folder / name)
        fit_with(name, model=model)  # what the backend does once is none of the library's doing
        fit = functools.partial(fit_with, name, model=model)
        audit.during(f"{name}, no folder", fit)
        audit.during(f"{name}, a folder", functools.partial(fit, place, killed=True))
        left = [path.name for path in (folder / name).rglob("*")]
        audit.found[f"{name}, a folder"]["left"] = left
        audit.during(f"{name}, gone on", functools.partial(fit, place, initial_epoch=1))
    model = compiled()
    results = [audit.during(name, search, model) for name, search in SEARCHES.items()]
    audit.during("results", results_read_again, results[:-1])  # `fine_tune` has none to be saved
    schedule = klr.schedules.Cosine(0.1, 0.0, steps=8).warmup(2) * 0.5
    model = compiled()
    model.compile(klr.Adam(schedule), "mse")
    model.fit(**FIT)
    path = str(folder / "model.keras")
    model.save(path)
    load = functools.partial(keras.models.load_model, safe_mode=True)
    loaded = audit.during("a saved model", load, path)
    assert loaded.optimizer._learning_rate == schedule
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    return audit.found


if __name__ == "__main__":
    print(json.dumps(main(pathlib.Path(sys.argv[1]))))
