"""Exactness and cost on whatever device Keras finds: one script, under eight minutes on one GPU.

    KERAS_BACKEND=torch python -m benchmarks.device
    KERAS_BACKEND=torch python -m benchmarks.device --small

A CNN and a transformer of about ten million weights each, in float32 and in mixed precision, on
generated data; `--small` takes small ones, which a CPU trains in seconds. Checked are: the model is
put back to the bit after a range test; every rate is that of the schedule; a run that is taken up
again ends like the one that was not stopped. Timed are a step, a range test, a sweep one by one
and in lanes, `klr.fit`. Writes JSON to `--out`, and to the terminal; a check that fails ends the
script with status 1.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import keras
import numpy as np

import keras_lr as klr
from benchmarks.cost.clock import NoOp, fit_seconds, one_thread, ratios_beside, seconds
from benchmarks.cost.models import transformer
from keras_lr._keras.backend import ON_JAX

BATCH = 32


def cnn(widths):
    """Return a convolutional network for 32 x 32 images, with batch normalisation."""
    x = inputs = keras.Input((32, 32, 3))
    for width in widths:
        for _ in range(2):
            x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, dtype="float32")(x))


def made(name, small):
    """Return a compiled model by its name, and data of ten classes that can be learned."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    samples = BATCH * (8 if small else 100)
    y = random.integers(0, 10, samples)
    if name == "cnn":
        model = cnn((8, 16) if small else (64, 128, 256, 512, 512))
        x = random.normal(size=(samples, 32, 32, 3)) + y[:, None, None, None] / 5
        x = x.astype("float32")
    else:
        width, blocks, length = (16, 1, 8) if small else (384, 5, 128)
        model = transformer(width, blocks, length, words=1000, heads=4)
        x = (random.integers(0, 500, (samples, length)) + 40 * y[:, None]).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    model.optimizer.build(model.trainable_variables)
    return model, x, y.astype("int32")


def values(model):
    """Return the bytes of all variables."""
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(each.value).tobytes() for each in variables]


def exactness(name, small):
    """Return which promises hold."""
    model, x, y = made(name, small)
    options = {"batch_size": BATCH, "verbose": 0, "shuffle": False}
    before = values(model)
    klr.lr_find(model, x, y, steps=10, max_lr=1e-3, **options)
    found = {"put back": values(model) == before}
    steps = 2 * len(x) // BATCH
    schedule = klr.schedules.Cosine(1e-4, 0.0, steps=steps)
    rates = []
    spy = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: rates.append(logs["learning_rate"])
    )
    model.fit(x, y, epochs=2, **options, callbacks=[klr.LRScheduler(schedule), spy])
    wanted = schedule.values(range(steps))
    found["rates"] = bool(np.allclose(rates, wanted, rtol=1e-6, atol=0))
    with tempfile.TemporaryDirectory() as folder:
        found["resumed"] = resumed(name, small, folder, schedule, options, rates)
    return found


def resumed(name, small, folder, schedule, options, rates):
    """Return whether a run that goes on from a saved model has the rates of one that did not."""
    model, x, y = made(name, small)
    model.fit(x, y, epochs=1, **options, callbacks=[klr.LRScheduler(schedule)])
    path = str(pathlib.Path(folder) / "half.keras")
    model.save(path)
    loaded = keras.models.load_model(path)
    same = values(loaded) == values(model)
    rest = []
    spy = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: rest.append(logs["learning_rate"])
    )
    going_on = [klr.LRScheduler(schedule), spy]
    loaded.fit(x, y, epochs=2, initial_epoch=1, **options, callbacks=going_on)
    return same and rest == rates[len(rates) // 2 :]


def costs(name, small):
    """Return what steps and searches take."""
    model, x, y = made(name, small)
    options = {"batch_size": BATCH, "verbose": 0}
    steps, repeats = len(x) // BATCH, 3 if small else 5
    shape = klr.schedules.Cosine(1e-4, 0.0, steps=steps)
    plain = lambda: fit_seconds(model, x, y, NoOp())  # noqa: E731
    plain()
    test = {"steps": steps, "max_lr": 1e-4, "stop_factor": None, **options}
    others = {
        "LRScheduler": lambda: fit_seconds(model, x, y, klr.LRScheduler(shape)),
        "WeightAverage": lambda: fit_seconds(model, x, y, klr.WeightAverage(0.99)),
        "range test": lambda: seconds(lambda: klr.lr_find(model, x, y, **test)),
        "range test, probe of 256": lambda: seconds(
            lambda: klr.lr_find(model, x, y, probe=256, **test)
        ),
    }
    for run in others.values():
        run()
    ratios, own = ratios_beside(plain, others, repeats)
    found = {"ms_per_step": 1000 * own / steps, "ratios": ratios}
    rates = np.geomspace(1e-5, 1e-3, 4)
    for method in ("sequential", "lanes", "auto") if ON_JAX else ("sequential",):
        sweep = lambda way=method: klr.lr_sweep(  # noqa: E731
            model, x, y, rates, 8, method=way, **options
        )
        first = seconds(sweep)
        found[f"sweep, {method}"] = {"first": first, "second": seconds(sweep)}
        if method == "auto":
            found["auto took"] = sweep().method
    result = []
    fit = lambda: result.append(klr.fit(model, x, y, epochs=2, **options))  # noqa: E731
    found["klr.fit"] = {"seconds": seconds(fit), "loss": result[0].history.history["loss"][-1]}
    return found


def device():
    """Return the name of what the backend computes on."""
    if ON_JAX:
        import jax

        return str(jax.devices()[0].device_kind)
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(found[0])["device_name"] if found else "cpu"


def measure(small, names=("cnn", "transformer"), policies=("float32", "mixed_bfloat16")):
    """Return everything, by model and precision."""
    found = {"backend": keras.backend.backend(), "keras": keras.__version__, "device": device()}
    before = keras.config.dtype_policy()
    for name in names:
        for policy in policies:
            keras.config.set_dtype_policy(policy)
            try:
                row = {"weights": made(name, small)[0].count_params()}
                row |= {"exact": exactness(name, small), **costs(name, small)}
            finally:
                keras.config.set_dtype_policy(before)
            found[f"{name}, {policy}"] = row
            print(name, policy, json.dumps(row), file=sys.stderr, flush=True)
    return found


def main():
    """Measure, write JSON; return 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", default="", help="a file to write the JSON to")
    given = parser.parse_args()
    one_thread()
    found = measure(given.small)
    text = json.dumps(found, indent=1)
    print(text)
    if given.out:
        pathlib.Path(given.out).write_text(text + "\n")
    rows = [row for row in found.values() if isinstance(row, dict)]
    return int(not all(all(row["exact"].values()) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
