"""Cost of each callback and schedule per training step, beside a callback that does nothing."""

import keras

import keras_lr as klr
from benchmarks.cost.clock import AssignPerBatch, NoOp, fit_seconds, one_thread, ratios_beside
from benchmarks.cost.models import built, compiled, data
from keras_lr import schedules

STEPS = {"mlp": 400, "mlp 1e6": 60, "cnn": 12, "transformer": 12}
CASES = [f"{name}, {several}" for name in STEPS for several in (1, 8)]


def variants(steps):
    """Return (learning rate, what makes a callback) by name."""
    cycle = max(2, steps // 7)
    restarts = schedules.CosineRestarts(1e-3, first_cycle_steps=cycle)
    values = schedules.Table(restarts.values(range(steps)).tolist())
    keras_own = keras.optimizers.schedules.CosineDecayRestarts(1e-3, cycle)
    plateau = {"factor": 0.5, "patience": 3}
    return {
        "in the graph": (restarts, NoOp),
        "LRScheduler": (1e-3, lambda: klr.LRScheduler(restarts)),
        "LRScheduler() of a graph's": (restarts, klr.LRScheduler),
        "OneCycle": (1e-3, lambda: klr.OneCycle(1e-3)),
        "CosineWarmRestarts": (1e-3, lambda: klr.CosineWarmRestarts(first_cycle_steps=cycle)),
        "plateau by the epoch": (1e-3, lambda: klr.ReduceOnPlateauPlus("loss", **plateau)),
        "plateau by the step": (
            1e-3,
            lambda: klr.ReduceOnPlateauPlus("batch_loss", frequency=10, **plateau),
        ),
        "WeightAverage": (1e-3, lambda: klr.WeightAverage(0.99)),
        "Cooldown": (1e-3, lambda: klr.Cooldown(max(1, steps // 4))),
        "Keras: CosineDecayRestarts": (keras_own, NoOp),
        "Keras: assign per batch": (1e-3, lambda: AssignPerBatch(values)),
    }


def measure(case, repeats=9):
    """Return the quartiles of the ratios to the no-op callback, and its own seconds per step."""
    one_thread()
    name, several = case.split(", ")
    if int(several) > 1 and keras.backend.backend() == "torch":
        return None
    steps = STEPS[name]

    def timed(learning_rate, make):
        options = {"steps_per_execution": int(several)}
        model = compiled(built(name), learning_rate, **options)
        x, y = data(model, steps)

        def run():
            return fit_seconds(model, x, y, make())

        run()  # compiles
        return run

    others = {other: timed(*pair) for other, pair in variants(steps).items()}
    ratios, own = ratios_beside(timed(1e-3, NoOp), others, repeats)
    return {"ratios": ratios, "seconds_per_step": own / steps}
