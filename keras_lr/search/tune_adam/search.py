"""The phases of `tune_adam`: runs for a surface, a search around it, the leading ones once more.

Each is a list of slots (see `study`), so that it can be shared, cut off and gone on with. What is
in a list depends on finished runs alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from keras_lr.search.progress import Progress
from keras_lr.search.tune_adam.arguments import OWNER
from keras_lr.search.tune_adam.choice import Choice, choose
from keras_lr.search.tune_adam.design import Place, SurfaceDesign
from keras_lr.search.tune_adam.result import AdamTrial
from keras_lr.search.tune_adam.run import AdamRun, Prune
from keras_lr.search.tune_adam.space import AdamSettings, AdamSpace
from keras_lr.search.tune_adam.study import Slots, import_optuna
from keras_lr.search.tune_adam.surface import Surface, SurfacePoint

FINALISTS = 3
_RANDOM_TRIALS = 8  # before TPE has something to go by

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class AdamPlan:
    """What is to be run.

    Attributes:
        design: The runs that a surface is fitted to, or None.
        points: The values fixed beforehand in each trial of the search; the sampler finds the rest.
            With a design there is no telling beforehand.
        goes_on: Whether the trials that the design leaves are used to search around the surface.
        repeats: How often each finalist is run in all.
        steps: Updates per run.
        sampler: An Optuna sampler, or None for TPE with a seed of its own for each trial.
        rungs: After how many ninths of a run the pruner is asked.
        seed: Of batches, generators and sampler.
    """

    design: SurfaceDesign | None
    points: Sequence[Values]
    goes_on: bool
    repeats: int
    steps: int
    sampler: Any
    rungs: Sequence[int]
    seed: int


class AdamSearch:
    """Carries out a plan on a study, as one of possibly several processes."""

    def __init__(self, study: Any, slots: Slots, space: AdamSpace, plan: AdamPlan) -> None:
        self._optuna = import_optuna(OWNER)
        self._study, self._slots, self._space, self._plan = study, slots, space, plan

    def carry_out(self, run: AdamRun, progress: Progress) -> None:
        """Train everything that is not done yet."""
        plan, begun = self._plan, None
        looks = plan.rungs if plan.goes_on else ()
        while plan.design is not None and (places := self._places()) != begun:
            while trial := self._slots.take(self._designed(plan.design, places)):
                self._train(run, trial, progress, looks, self._noting(trial))
            begun = places
        wanted = self._wanted()
        while trial := self._slots.take(wanted):
            self._study.sampler = plan.sampler or self._tpe(_index_of(trial))
            self._train(run, trial, progress, plan.rungs, self._noting(trial, prunes=True))
        finalists = self._finalists()
        again = {
            _repeat_slot(first, repeat): first.params
            for repeat in range(1, plan.repeats)
            for first in finalists
        }
        while trial := self._slots.take(again):
            self._train(run, trial, progress, (), self._noting(trial))

    def choice(self) -> tuple[Choice, list[AdamTrial], float]:
        """Return what to take of the finalists, their first runs, and the mean loss of the choice.

        Of a search that was interrupted, only repeats that every finalist has had count.
        """
        finalists = self._finalists()
        losses = self._losses_of(finalists)
        rows = [self._row(first) for first in finalists]
        chosen = choose([row.lr for row in rows], losses)
        mean = sum(losses[chosen.index]) / len(losses[chosen.index])
        return chosen, rows, mean

    def surface(self) -> Surface | None:
        """Return the surface through all runs that differ in shape and learning rate alone.

        None if no surface was asked for, or none of these runs has ended with a finite loss.
        """
        if self._plan.design is None:
            return None
        trials = [
            trial
            for trial in self._searched().values()
            if not {"weight_decay", "momentum"} & trial.params.keys()
        ]
        finalists = [trial for trial in self._finalists() if trial in trials]
        means = {
            trial.number: sum(losses) / len(losses)
            for trial, losses in zip(finalists, self._losses_of(finalists), strict=True)
        }
        whole = [trial for trial in trials if trial.user_attrs["outcome"] != "pruned"]
        return self._fitted(whole, means)

    def rows(self) -> list[AdamTrial]:
        """Return every finished run, in the order of their numbers."""
        names = [trial.user_attrs.get("slot") for trial in self._study.get_trials(deepcopy=False)]
        done = self._slots.done({name for name in names if name is not None})
        return sorted((self._row(trial) for trial in done.values()), key=lambda row: row.number)

    def has_finalists(self) -> bool:
        """Return whether any run has come to its end."""
        return bool(self._finalists())

    def _places(self) -> list[Place]:
        """Return the runs of the surface that are wanted, by the losses of those before them."""
        design, done = self._plan.design, self._searched()
        losses: dict[Place, float] | None = None
        places: list[Place] = []
        known: dict[Place, float] = {}
        while design is not None and known != losses:
            losses, places = known, design.wanted(known)
            slots = zip(places, search_slots(len(places)), strict=True)
            known = {place: _loss(done[name]) for place, name in slots if name in done}
        return places

    def _searched(self) -> dict[str, Any]:
        """Return the finished trials of the search, by their slots."""
        return self._slots.done(search_slots(len(self._plan.points)))

    def _designed(self, design: SurfaceDesign, places: Sequence[Place]) -> dict[str, Values]:
        values = [{"lr": design.lr(place), "shape": place[0]} for place in places]
        return dict(zip(search_slots(len(places)), values, strict=True))

    def _designed_surface(self) -> Surface | None:
        """Return the surface as it is before anything is searched around it."""
        done = self._searched()
        return self._fitted(
            [done[name] for name in search_slots(len(self._places())) if name in done]
        )

    def _wanted(self) -> dict[str, Values]:
        """Return what is fixed beforehand in the trials of the search, by their slots.

        Those for a surface are not among them.
        """
        plan, slots = self._plan, search_slots(len(self._plan.points))
        if plan.design is None:
            return dict(zip(slots, plan.points, strict=True))
        surface = self._designed_surface() if plan.goes_on else None
        if surface is None:
            return {}
        left = slots[len(self._places()) :]
        first = {"lr": surface.lowest(surface.best).lr, **self._space.own_within()}
        values = [{"shape": surface.best, **(first if slot == left[0] else {})} for slot in left]
        return dict(zip(left, values, strict=True))

    def _fitted(
        self, trials: Sequence[Any], means: Mapping[int, float] = MappingProxyType({})
    ) -> Surface | None:
        points = []
        for trial in sorted(trials, key=lambda trial: trial.number):
            settings = self._space.settings_of(trial.params)
            loss = means.get(trial.number, _loss(trial))
            points.append(SurfacePoint(settings.shape, settings.lr, loss))
        if not any(math.isfinite(point.loss) for point in points):
            return None
        return Surface(points, self._space.centres)

    def _losses_of(self, firsts: Sequence[Any]) -> list[list[float]]:
        """Return the losses of each of several settings, in as many repeats as all have had."""
        losses = [[_loss(first)] for first in firsts]
        for repeat in range(1, self._plan.repeats):
            names = [_repeat_slot(first, repeat) for first in firsts]
            done = self._slots.done(names)
            if len(done) < len(names):
                break
            for row, name in zip(losses, names, strict=True):
                row.append(_loss(done[name]))
        return losses

    def _noting(self, trial: Any, *, prunes: bool = False) -> Prune:
        """Return what notes the losses on the way, and may ask the pruner about them."""

        def note(rung: int, loss: float) -> bool:
            trial.report(loss, rung)
            return prunes and trial.should_prune() and len(self._finalists()) == FINALISTS

        return note

    def _train(
        self,
        run: AdamRun,
        trial: Any,
        progress: Progress,
        rungs: Sequence[int],
        prune: Prune,
    ) -> None:
        seed = self._plan.seed + _repeat_of(trial.user_attrs["slot"])
        try:
            with self._slots.heartbeat(trial):
                settings = self._settings(trial)
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

    def _settings(self, trial: Any) -> AdamSettings:
        kind, *_, last = trial.user_attrs["slot"].split()
        if kind == "repeat":
            return self._space.suggest(trial, names=self._study.trials[int(last)].params)
        if self._plan.design is None:
            return self._space.suggest(trial)
        if _index_of(trial) < len(self._places()):
            return self._space.suggest(trial, names=())
        surface = self._designed_surface()
        reach = None if surface is None else surface.reach(surface.best)
        return self._space.suggest(trial, reach)

    def _tpe(self, index: int) -> Any:
        # A seed for each trial: what is proposed depends on the trials before, not on the process.
        seed = (self._plan.seed * 100_003 + index) % 2**32
        return self._optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=seed)

    def _finalists(self) -> list[Any]:
        done = self._searched().values()
        whole = [trial for trial in done if trial.state == self._optuna.trial.TrialState.COMPLETE]
        return sorted(whole, key=lambda trial: (trial.value, trial.number))[:FINALISTS]

    def _row(self, trial: Any) -> AdamTrial:
        settings, steps = self._space.settings_of(trial.params), self._plan.steps
        return AdamTrial(
            number=trial.number,
            lr=settings.lr,
            shape=settings.shape,
            decay=settings.decay(steps),
            final_share=settings.share_left(steps),
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            repeat=_repeat_of(trial.user_attrs["slot"]),
            state=trial.user_attrs["outcome"],
            loss=_loss(trial),
            steps=trial.user_attrs["steps"],
        )


def search_slots(count: int) -> list[str]:
    """Return the names of the slots of a search of so many trials."""
    return [f"search {index}" for index in range(count)]


def _index_of(trial: Any) -> int:
    return int(trial.user_attrs["slot"].split()[1])


def _repeat_slot(first: Any, repeat: int) -> str:
    return f"repeat {repeat} {first.number}"


def _repeat_of(slot: str) -> int:
    kind, number, *_ = slot.split()
    return int(number) if kind == "repeat" else 0


def _loss(trial: Any) -> float:
    diverged = trial.user_attrs["outcome"] == "diverged" or trial.value is None
    return float("inf") if diverged else float(trial.value)
