"""The pictures of a search for learning rate and shape, as plain data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lr.search.range_test.curve import Floats
from keras_lr.search.tune_adam.surface import Surface

if TYPE_CHECKING:
    from keras_lr.search.tune_adam.result import AdamTuneResult

_POINTS = 101
_CAP = np.e  # over the lowest loss: what lies above counts the same for the surface


class AdamTunePicture:
    """What `plot_tune_adam` draws: curves, or a map."""


@dataclass(frozen=True)
class Curve:
    """The runs of one shape, and what was fitted to them.

    Attributes:
        lr: float64[m], learning rates within reach of the runs, increasing.
        loss: float64[m], the fitted loss.
        noise: The standard deviation of a run around it, relative to the loss; None if not known.
        runs: float64[2, n], learning rates and losses of the runs that the surface was fitted to.
        others: float64[2, k], those of runs with another weight decay or momentum.
        beyond: float64[j], learning rates of runs that diverged or ended above all that is drawn.
    """

    lr: Floats
    loss: Floats
    noise: float | None
    runs: Floats
    others: Floats
    beyond: Floats


@dataclass(frozen=True)
class CurvesPicture(AdamTunePicture):
    """What `plot_tune_adam` draws of a surface.

    Attributes:
        curves: One for each shape, by its name.
        limits: The lowest and the highest loss that is drawn.
        choice: The learning rate that was chosen, and its loss.
    """

    curves: dict[str, Curve]
    limits: tuple[float, float]
    choice: tuple[float, float]


def curves_of(result: "AdamTuneResult", surface: Surface) -> CurvesPicture:
    """Return the curves of a result with a surface."""
    finite = [point.loss for point in surface.points if np.isfinite(point.loss)]
    lowest = min([*finite, *(surface.lowest(shape).loss for shape in surface.shapes)])
    lowest = min([lowest, *(t.loss for t in result.trials if t.state == "complete")])
    room = (_CAP - 1) * abs(lowest) if lowest else max(finite) or 1.0
    top = min(max([*finite, *_ends(surface)]), lowest + room)
    margin = 0.06 * ((top - lowest) or abs(lowest) or 1.0)
    limits = (lowest - margin, top + margin)
    return CurvesPicture(
        curves={shape: _curve(result, surface, shape, limits) for shape in surface.shapes},
        limits=limits,
        choice=(result.lr, result.loss),
    )


def _curve(
    result: "AdamTuneResult", surface: Surface, shape: str, limits: tuple[float, float]
) -> Curve:
    lr = np.geomspace(*surface.reach(shape), _POINTS)
    runs = np.array([(p.lr, p.loss) for p in surface.points if p.shape == shape]).T
    inside = runs[1] <= limits[1]  # not so where it is infinite
    whole = [t for t in result.trials if t.shape == shape and t.state == "complete"]
    whole = [t for t in whole if (t.weight_decay, t.momentum) != (None, None)]
    others = np.array([(t.lr, t.loss) for t in whole if t.loss <= limits[1]]).reshape(-1, 2).T
    return Curve(
        lr=lr,
        loss=surface.loss(shape, lr),
        noise=surface.noise,
        runs=runs[:, inside],
        others=others,
        beyond=runs[0, ~inside],
    )


def _ends(surface: Surface) -> list[float]:
    return [float(surface.loss(s, edge)) for s in surface.shapes for edge in surface.reach(s)]
