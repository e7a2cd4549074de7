"""`fine_tune`: the head of a pretrained model first, then all of it, cautiously below."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import keras

from keras_lr._keras.optimizers import groups_of, leaf_optimizers
from keras_lr.errors import check_integer, check_number, complaining_as, complaint
from keras_lr.one_call.arguments import listed
from keras_lr.one_call.fit import fit
from keras_lr.one_call.result import FitResult
from keras_lr.one_call.stages import (
    OWNER,
    compiled_back,
    factors_of,
    frozen,
    head_of,
)
from keras_lr.search.arguments import check_model
from keras_lr.search.results import Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FineTuneResult(Result):
    """The two stages of a fine-tuning.

    Attributes:
        head: The result of `fit` with all layers below the head frozen; None where there was no
            such stage.
        whole: The result of `fit` with all layers; None where Ctrl-C has ended the first stage.
        factors: The factors on the learning rate by group, in the second stage.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import fine_tune
        >>> layers = [keras.layers.Dense(8, name="body"), keras.layers.Dense(1, name="head")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> result = fine_tune(model, x, x[:, :1], epochs=4, tune=False, verbose=0)
        >>> result.total_steps, result.head.training_steps, result.whole.training_steps
        (8, 2, 6)
    """

    head: FitResult | None
    whole: FitResult | None
    factors: dict[str, float]

    _readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "head": FitResult.from_dict,
        "whole": FitResult.from_dict,
    }

    @property
    def total_steps(self) -> int:
        """Updates spent on both stages, with their searches."""
        stages = [stage for stage in (self.head, self.whole) if stage is not None]
        return sum(stage.tuning_steps + stage.training_steps for stage in stages)

    @property
    def peak(self) -> float:
        """The highest learning rate of the last stage, which is that of the head."""
        last = self.whole or self.head
        return float("nan") if last is None else last.peak

    def plot(self, axes: Any = None) -> "np.ndarray[Any, np.dtype[Any]]":
        """Draw the last stage there was: see `keras_lr.plot_fit`. `head.plot()` draws the first.

        Args:
            axes: As for `plot_fit`.

        Returns:
            The axes.
        """
        from keras_lr.plot.fit import plot_fit

        return plot_fit(self.whole or self.head, axes)

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        stages = {"head": self.head, "whole": self.whole}
        made = {name: stage for name, stage in stages.items() if stage is not None}
        rows = [
            (name, stage.peak, stage.tuning_steps, stage.training_steps)
            for name, stage in made.items()
        ]
        names = ("stage", "peak", "tuning_steps", "training_steps")
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        return ("stage", columns.pop("stage")), columns

    def _told(self) -> Mapping[str, Any]:
        """Return what sums up the stages there were, and the factors."""
        told: dict[str, Any] = {}
        for name, stage in (("head", self.head), ("whole", self.whole)):
            if stage is not None:
                told |= {f"{name}, peak": stage.peak, f"{name}, peak source": stage.peak_source}
                told[f"{name}, updates"] = stage.tuning_steps + stage.training_steps
                told[f"{name}, kept"] = stage.kept
        return told | {f"factor of {name}": factor for name, factor in self.factors.items()}

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each stage: its peak, and the updates of its search and of its training.

        Raises:
            ImportError: If pandas is not installed.
        """
        return super().to_dataframe()

    def __repr__(self) -> str:
        """What the stages have found."""
        return f"FineTuneResult(head={self.head!r}, whole={self.whole!r})"


def fine_tune(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    epochs: int,
    freeze_epochs: int = 1,
    head: Any = None,
    lowest: float = 1 / 100,
    factors: Any = None,
    **arguments: Any,
) -> FineTuneResult:
    r"""Fine-tune a pretrained model: its new head alone at first, then all of it.

    For `freeze_epochs` only the head trains. What is below is frozen as by `trainable=False`, with
    `BatchNormalization` in inference mode. Then all layers train, with an optimizer of `by_layer`:
    the head with the learning rate $\eta$, the upper half of the levels below it with
    $\eta \sqrt{lowest}$, the lower half with $\eta \cdot lowest$. Each stage is a call of `fit`,
    which finds its own $\eta$, pays for the search out of its own updates, and takes the statistics
    of `BatchNormalization` anew in the end.

    Layers that are frozen already stay so. Afterwards the model is compiled with the optimizer of
    `by_layer`, as it was otherwise. If an argument is wrong, or a stage raises, it is
    compiled as before, unless something else has compiled it since.

    Args:
        model: A compiled model that has its weights.
        x: Training data, as `fit` takes it.
        y: Targets, as `fit` takes them.
        epochs: Length in epochs, the frozen ones and the searches included.
        freeze_epochs: Epochs in which only the head trains, below `epochs`; 0 for none.
        head: Which layers are the head: a key of `by_layer` or a list of such keys. None for the
            last level of the model, see `layer_decay`.
        lowest: The factor of the lower half of the levels, above 0 and at most 1.
        factors: For `by_layer`, such as `layer_decay(model, 0.8)`, in place of `lowest`.
        **arguments: Of `fit`, for both stages; all but `steps` and `initial_epoch`.

    Returns:
        A `FineTuneResult`.

    Raises:
        TypeError: If an argument is not of the kind asked for.
        ValueError: If one is out of its range, the model has no layers below the head, it is not
            compiled, or `fit` refuses something.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import fine_tune
        >>> layers = [keras.layers.Dense(8, "relu", name=name) for name in ("low", "high")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> result = fine_tune(model, x, x[:, :1], epochs=4, tune=False, verbose=0)
        >>> [round(factor, 6) for factor in result.factors.values()]
        [0.01, 0.1, 1.0]

    Reference:
        Howard and Gugger, arXiv:2002.04688, Section 2.1, `Learner.fine_tune`. Wu and Johnson,
        arXiv:2105.07576, Section 3, for the statistics.
    """
    check_model(OWNER, model)
    fix = "Pass a number of epochs; freeze_epochs are among them"
    check_integer(OWNER, fix, at_least=1, epochs=epochs)
    check_integer(OWNER, fix, at_least=0, freeze_epochs=freeze_epochs)
    if freeze_epochs >= epochs:
        rule = "freeze_epochs must leave epochs in which all layers train"
        raise ValueError(complaint(OWNER, rule, fix, epochs=epochs, freeze_epochs=freeze_epochs))
    fix = "Pass a number above 0 and at most 1; 1/100 is the default"
    check_number(OWNER, fix, above=0.0, at_most=1.0, lowest=lowest)
    _check_arguments(arguments)
    key, below = head_of(model, head)
    given = factors_of(model, key, below, lowest) if factors is None else factors
    with compiled_back(model) as compiled, complaining_as(OWNER, "fit"):
        if factors is not None and _groups(compiled.arguments["optimizer"]):
            rule = "the optimizer has groups with factors already"
            fix = "Leave factors out, or compile with a plain optimizer"
            raise ValueError(complaint(OWNER, rule, fix, factors=factors))
        first = None
        if freeze_epochs:
            with frozen(model, below):
                compiled.compile(given)
                first = fit(model, x, y, epochs=freeze_epochs, **arguments)
        compiled.compile(given)
        whole = None
        if first is None or not first.interrupted:
            whole = fit(model, x, y, epochs=epochs - freeze_epochs, **arguments)
    return FineTuneResult(
        head=first, whole=whole, factors=leaf_optimizers(model.optimizer)[0].factors
    )


def _groups(optimizer: Any) -> tuple[str, ...]:
    """Return the groups that an optimizer has, which may be given by its name."""
    return () if isinstance(optimizer, str) else groups_of(leaf_optimizers(optimizer)[0])[0]


def _check_arguments(arguments: dict[str, Any]) -> None:
    """Raise if there are arguments that two fits cannot share."""
    for name in ("steps", "initial_epoch"):
        if name in arguments:
            rule = f"{name} is not for two stages, which have lengths in epochs"
            fix = "Pass epochs and freeze_epochs"
            raise ValueError(complaint(OWNER, rule, fix, **{name: arguments[name]}))
    for each in listed(arguments.get("callbacks")):
        if isinstance(each, keras.callbacks.BackupAndRestore):
            rule = "a run of two stages cannot be resumed by BackupAndRestore"
            fix = "Leave it out, or make the two stages yourself by fit"
            raise ValueError(complaint(OWNER, rule, fix, callback="BackupAndRestore"))
