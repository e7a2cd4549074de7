"""Results and histories with made-up numbers, for pictures."""

from types import SimpleNamespace
from typing import Any

import numpy as np

import keras_lr as klr
from keras_lr import schedules
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune_adam.result import AdamTrial
from keras_lr.search.tune_adam.surface import Surface

RNG = np.random.default_rng(0)


def range_test(**more: Any) -> klr.RangeTestResult:
    """Return a range test with the curve of a small network."""
    rates = np.geomspace(1e-6, 100.0, 100)
    clean = 2.3 - 1.8 / (1.0 + 0.02 / rates) + rates
    losses = clean + RNG.normal(0.0, 0.1, len(rates))
    fields = {"probe_losses": clean, "stop_reason": "completed", "default_learning_rate": 0.01}
    return klr.RangeTestResult(
        learning_rates=rates, losses=losses, smoothed_losses=clean, **fields | more
    )


def repeated() -> klr.RangeTestResult:
    """Return a range test that was repeated, with validation losses."""
    found = range_test()
    repeats = found.losses + RNG.normal(0.0, 0.15, (5, len(found.losses)))
    every_tenth = np.where(np.arange(100) % 10 == 0, found.probe_losses + 0.1, np.nan)
    return range_test(repeat_losses=repeats, validation_losses=every_tenth)


def flat() -> klr.RangeTestResult:
    """Return a range test without a suggestion."""
    return klr.RangeTestResult(
        learning_rates=np.geomspace(1e-6, 1e-3, 100),
        losses=2.3 + RNG.normal(0.0, 0.1, 100),
        smoothed_losses=np.full(100, 2.3),
        stop_reason="completed",
    )


def sweep(repeats: int = 1) -> klr.SweepResult:
    """Return a sweep over 12 rates, of which the last two diverge."""
    rates = np.geomspace(1e-3, 3.0, 12)
    falls = np.exp(-np.outer(np.minimum(rates, 0.4) * 0.2, np.arange(100)))
    losses = 0.1 + 2.2 * falls + RNG.normal(0.0, 0.04, (repeats, *falls.shape))
    losses[:, -2:] *= 1.2 ** np.arange(100)
    lost = rates > 1.5
    final = {"loss": losses[0, :, -25:].mean(axis=1)}
    final["val_loss"] = final["loss"] * 1.1 + 0.05
    return klr.SweepResult(
        learning_rates=rates,
        losses=np.median(losses, axis=0),
        repeat_losses=losses,
        final=final,
        diverged=lost,
        stopped_at=np.where(lost, 50, 100),
        cost_steps=1100,
    )


def tune(low: float = 0.02) -> klr.TuneResult:
    """Return a tuning with a trial that diverged and one just above no loss at all."""
    trials = [(-3.1, 1.9), (-2.3, 0.9), (-1.5, low), (-0.7, float("inf"))]
    return klr.TuneResult(
        learning_rate=0.021,
        trials=tuple(Trial(*trial) for trial in trials),
        untrained=2.4,
        short_run_learning_rate=0.03,
        trial_steps=50,
        total_steps=1140,
        beta=0.1,
        cost_steps=200,
    )


def fitted(epochs: int = 20, *, trials: bool = True, validation: bool = True) -> klr.FitResult:
    """Return the result of one call of `fit`."""
    logs = history(epochs, 0.1, validation=validation)
    schedule = schedules.Trapezoid(0.03, 10 * epochs)
    return klr.FitResult(
        history=logs,
        tuning=tune(0.5) if trials else None,
        schedule=schedule,
        peak=0.03,
        peak_source="trials" if trials else "given",
        total_steps=10 * epochs + 200 * trials,
        training_steps=10 * epochs,
        learning_rates=schedule.values(np.arange(10 * epochs)),
        epoch_ends=tuple(range(10, 10 * epochs + 1, 10)),
        kept="average 0.98" if validation else "last",
        kept_value=logs.history["val_loss"][-1] if validation else None,
        kept_epoch=epochs - 1 if validation else None,
    )


def fine_tuned() -> klr.FineTuneResult:
    """Return the result of a fine-tuning in two stages."""
    return klr.FineTuneResult(head=fitted(2), whole=fitted(), factors={"backbone": 0.01, "head": 1})


def adam_trial(number: int, lr: float, share: float, loss: float, **more: Any) -> AdamTrial:
    """Return a run of a search for lr and decay."""
    fields: dict[str, Any] = {"decay": 0.0, "weight_decay": None, "momentum": None, "repeat": 0}
    fields |= {"state": "complete", "steps": 100} | more
    return AdamTrial(number=number, lr=lr, final_share=share, loss=loss, **fields)


def adam(trials: list[AdamTrial], surface: Surface | None, **more: Any) -> klr.AdamTuneResult:
    """Return a search with these runs, of which the best was chosen."""
    best = min(trials, key=lambda trial: trial.loss)
    fields: dict[str, Any] = {"lr": best.lr, "decay": 1.5e-3, "final_share": best.final_share}
    fields |= {"weight_decay": None, "momentum": None, "loss": best.loss, "standard_error": 0.01}
    fields |= {"within_noise": False, "ties": (best,), "chosen": best, "trials": tuple(trials)}
    fields |= {"lr_range": (1e-4, 0.1), "total_steps": 100, "cost_steps": 1000, "finished": True}
    return klr.AdamTuneResult(
        **fields | more, momentum_name=None, study=None, shape=best.shape, surface=surface
    )


def adam_curves() -> klr.AdamTuneResult:
    """Return a search over three shapes, with runs that diverged and one of another decay."""
    centres = {"constant": 0.002, "linear": 0.005, "decay": 0.004}
    trials = []
    for lowest, (shape, centre) in zip((0.50, 0.44, 0.46), centres.items(), strict=True):
        for factor in (0.3, 1.0, 3.0):
            loss = lowest * np.exp(0.5 * np.log10(factor) ** 2 + RNG.normal(0.0, 0.02))
            trials.append(adam_trial(len(trials), centre * factor, 1.0, loss, shape=shape))
    lost = {"shape": "constant", "state": "diverged"}
    trials.append(adam_trial(9, 0.05, 1.0, float("inf"), **lost))
    surface = Surface([(t.shape, t.lr, t.loss) for t in trials], centres)
    other = adam_trial(10, 0.006, 1.0, 0.48, shape="linear", weight_decay=0.1)
    return adam([*trials, other], surface)


def adam_map() -> klr.AdamTuneResult:
    """Return a search over learning rate and share: a dozen whole runs, others pruned or lost."""
    places = 10.0 ** RNG.uniform([-4.0, -2.0], [-1.2, 0.0], (12, 2))
    heights = 0.4 * np.exp(0.3 * (np.log10(places) - [-2.5, -0.7]) ** 2 @ [1.0, 0.5])
    trials = [
        adam_trial(number, lr, share, loss)
        for number, ((lr, share), loss) in enumerate(zip(places, heights, strict=True))
    ]
    trials += [
        adam_trial(12, 2e-4, 0.05, 1.0, state="pruned"),
        adam_trial(13, 0.09, 0.9, float("inf"), state="diverged"),
    ]
    return adam(trials, None, ties=tuple(sorted(trials, key=lambda trial: trial.loss)[:3]))


def history(epochs: int, rate: Any, *, validation: bool = True, **more: Any) -> Any:
    """Return what `fit` would, of a run with a loss that falls."""
    done = np.arange(1, epochs + 1)
    loss = 0.05 + 2.0 * np.exp(-3.0 * done / epochs) + RNG.normal(0.0, 0.01, epochs)
    logs = {"loss": loss.tolist(), "accuracy": (1.0 - loss / 3.0).tolist()}
    if validation:
        logs |= {
            "val_loss": (1.1 * loss + 0.1).tolist(),
            "val_accuracy": (0.95 - loss / 3).tolist(),
        }
    logs |= {"learning_rate": np.broadcast_to(rate, epochs).tolist()} | more
    return SimpleNamespace(history=logs, epoch=list(range(epochs)), params={"steps": 10})
