"""The two phases of `tune_adam`: find the leading settings, then run those again on other batches.

Both are lists of slots (see `study`), so that either can be shared, cut off and gone on with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_lr.search.progress import Progress
from keras_lr.search.tune_adam.arguments import OWNER
from keras_lr.search.tune_adam.choice import Choice, choose
from keras_lr.search.tune_adam.result import AdamTrial
from keras_lr.search.tune_adam.run import RUNGS, AdamRun, Prune
from keras_lr.search.tune_adam.space import AdamSettings, AdamSpace, decay_for
from keras_lr.search.tune_adam.study import Slots, import_optuna

FINALISTS = 3
_RANDOM_TRIALS = 8  # before TPE has something to go by


@dataclass(frozen=True, kw_only=True)
class AdamPlan:
    """What is to be run.

    Attributes:
        points: The values fixed beforehand in each trial of the search; the sampler finds the rest.
        repeats: How often each finalist is run in all.
        steps: Updates per run.
        sampler: An Optuna sampler, or None for TPE with a seed of its own for each trial.
        rungs: After how many ninths of a run the pruner is asked.
        seed: Of batches, generators and sampler.
    """

    points: Sequence[Mapping[str, float]]
    repeats: int
    steps: int
    sampler: Any
    rungs: Sequence[int]
    seed: int

    @property
    def slots(self) -> dict[str, Mapping[str, float]]:
        """What is fixed beforehand in the trials of the search, by the names of their slots."""
        return dict(zip(search_slots(len(self.points)), self.points, strict=True))


@dataclass(frozen=True, kw_only=True)
class AdamCost:
    """What a search may cost at most; prints as a sentence.

    Attributes:
        trials: Trials of the search.
        done: How many of them are done already.
        repeats: Repeats of the finalists, in all.
        steps: Updates per run.
        climb: Updates that may go into the scale of the learning rate.
    """

    trials: int
    done: int
    repeats: int
    steps: int
    climb: int

    @property
    def most(self) -> int:
        """The most updates there can be."""
        return (self.trials - self.done + self.repeats) * self.steps + self.climb

    def __str__(self) -> str:
        known = f" ({self.done} are done already)" if self.done else ""
        return (
            f"tune_adam: at most {self.most} training steps: {self.trials} trials{known} and "
            f"{self.repeats} repeats of {self.steps}, {self.climb} for the scale of lr. Pruning "
            "makes it fewer."
        )


class AdamSearch:
    """Carries out a plan on a study, as one of possibly several processes."""

    def __init__(self, study: Any, slots: Slots, space: AdamSpace, plan: AdamPlan) -> None:
        self._optuna = import_optuna(OWNER)
        self._study, self._slots, self._space, self._plan = study, slots, space, plan

    def carry_out(self, run: AdamRun, progress: Progress) -> None:
        """Train everything that is not done yet."""
        plan = self._plan
        while trial := self._slots.take(plan.slots):
            index = int(trial.user_attrs["slot"].split()[1])
            self._study.sampler = plan.sampler or self._tpe(index)

            def prune(rung: int, loss: float, trial: Any = trial) -> bool:
                trial.report(loss, rung)
                return bool(trial.should_prune()) and len(self._finalists()) == FINALISTS

            self._train(run, trial, progress, plan.rungs, prune)
        finalists = self._finalists()
        again = {
            _repeat_slot(first, repeat): first.params
            for repeat in range(1, plan.repeats)
            for first in finalists
        }
        while trial := self._slots.take(again):
            self._train(run, trial, progress, (), lambda rung, loss: False)

    def choice(self) -> tuple[Choice, list[AdamTrial], float]:
        """Return what to take of the finalists, their first runs, and the mean loss of the choice.

        Of a search that was interrupted, only repeats that every finalist has had count.
        """
        finalists = self._finalists()
        losses = [[_loss(first)] for first in finalists]
        for repeat in range(1, self._plan.repeats):
            names = [_repeat_slot(first, repeat) for first in finalists]
            done = self._slots.done(names)
            if len(done) < len(names):
                break
            for row, name in zip(losses, names, strict=True):
                row.append(_loss(done[name]))
        rows = [self._row(first) for first in finalists]
        chosen = choose([row.lr for row in rows], losses)
        mean = sum(losses[chosen.index]) / len(losses[chosen.index])
        return chosen, rows, mean

    def rows(self) -> list[AdamTrial]:
        """Return every finished run, in the order of their numbers."""
        names = [trial.user_attrs.get("slot") for trial in self._study.get_trials(deepcopy=False)]
        done = self._slots.done({name for name in names if name is not None})
        return sorted((self._row(trial) for trial in done.values()), key=lambda row: row.number)

    def has_finalists(self) -> bool:
        """Return whether any run has come to its end."""
        return bool(self._finalists())

    def _train(
        self, run: AdamRun, trial: Any, progress: Progress, rungs: Sequence[int], prune: Prune
    ) -> None:
        seed = self._plan.seed + _repeat_of(trial.user_attrs["slot"])
        try:
            with self._slots.beating(trial):
                settings = self._space.suggest(trial)
                outcome = run.train(settings, seed, progress, rungs, prune)
            trial.set_user_attr("steps", outcome.steps)
            trial.set_user_attr("outcome", outcome.state)
        except self._optuna.exceptions.UpdateFinishedTrialError:
            return  # another process thought this one dead, and has taken over
        states = self._optuna.trial.TrialState
        whole = outcome.state == "complete"
        state = states.COMPLETE if whole else states.PRUNED
        value = outcome.loss if whole else None
        self._study.tell(trial, value, state, skip_if_finished=True)

    def _tpe(self, index: int) -> Any:
        # A seed for each trial: what is proposed depends on the trials before, not on the process.
        seed = (self._plan.seed * 100_003 + index) % 2**32
        return self._optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=seed)

    def _finalists(self) -> list[Any]:
        done = self._slots.done(self._plan.slots).values()
        whole = [trial for trial in done if trial.state == self._optuna.trial.TrialState.COMPLETE]
        return sorted(whole, key=lambda trial: (trial.value, trial.number))[:FINALISTS]

    def _row(self, trial: Any) -> AdamTrial:
        settings = AdamSettings(**trial.params)
        return AdamTrial(
            number=trial.number,
            **vars(settings),
            decay=decay_for(settings.final_share, self._plan.steps),
            repeat=_repeat_of(trial.user_attrs["slot"]),
            state=trial.user_attrs["outcome"],
            loss=_loss(trial),
            steps=trial.user_attrs["steps"],
        )


def pruner_and_rungs(optuna: Any, pruner: Any) -> tuple[Any, Sequence[int]]:
    """Return the Optuna pruner, and after how many ninths of a run it is asked."""
    if pruner is None:
        return optuna.pruners.NopPruner(), ()
    if pruner == "halving":
        # Not before a third of the run: what decay is good for does not show earlier.
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3), (3,)
    if pruner == "hyperband":
        options = {"min_resource": 1, "max_resource": RUNGS, "reduction_factor": 3}
        return optuna.pruners.HyperbandPruner(**options), (1, 3)
    return pruner, range(1, RUNGS)


def search_slots(count: int) -> list[str]:
    """Return the names of the slots of a search of so many trials."""
    return [f"search {index}" for index in range(count)]


def _repeat_slot(first: Any, repeat: int) -> str:
    return f"repeat {repeat} {first.number}"


def _repeat_of(slot: str) -> int:
    kind, number, *_ = slot.split()
    return int(number) if kind == "repeat" else 0


def _loss(trial: Any) -> float:
    diverged = trial.user_attrs["outcome"] == "diverged" or trial.value is None
    return float("inf") if diverged else float(trial.value)
