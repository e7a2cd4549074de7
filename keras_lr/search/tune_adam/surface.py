"""A quadratic surface through the losses of whole runs, by learning rate and shape. Pure NumPy.

One lucky run at the edge of stability is not taken for the best: all runs decide together, and the
curves of all shapes have the same curvature.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_lr.errors import check_number, complaint

Floats = NDArray[np.float64]
Range = tuple[float, float]

_WORST = 1.0  # above the lowest, in units of the logarithm: what a run that diverged counts as
_LEAST_CURVATURE = 0.05  # per squared decade: what runs that lie on a line are taken to have
_RIDGE_SLOPE, _RIDGE_CURVATURE = 0.02, 1e-3
_LEAST_FREEDOM = 0.5  # degrees of it that must be left to tell the noise


class SurfacePoint(NamedTuple):
    """One setting that was run.

    Attributes:
        shape: The shape of its learning rate over the run.
        lr: Its learning rate.
        loss: What it ended at; infinite if it diverged.
    """

    shape: str
    lr: float
    loss: float


class Lowest(NamedTuple):
    """The lowest point of one shape's curve, among the learning rates that were run.

    Attributes:
        lr: Its learning rate.
        loss: The fitted loss there.
    """

    lr: float
    loss: float


@dataclass(frozen=True)
class Surface:
    r"""The fit of a logarithmic loss, one curve over the learning rate for each shape.

    $$y = \min(\ln L, \ln L_{min} + 1) \approx a_{shape} + b_{shape} o + c o^2$$

    with o the decades between a learning rate and its shape's centre, and $c \ge 0.05$; by least
    squares with a penalty of $0.02 \sum b^2 + 0.001 c^2$. Where a loss is not above zero there is
    no logarithm, and $(L - L_{min}) / |L_{min}|$, which is the same for small differences, takes
    its place.

    Args:
        points: The settings that were run, at least one of them with a finite loss.
        centres: The learning rate around which each shape was searched.

    Attributes:
        curvature: c, per squared decade.
        noise: The standard deviation of the runs around the surface, in units of y: about the
            relative error of a loss. None if too few runs are left to tell.

    Raises:
        ValueError: If no loss is finite, or a learning rate is not above zero.

    Example:
        >>> rates = [0.01, 0.03, 0.1]
        >>> points = [SurfacePoint("constant", r, 2 + np.log10(r / 0.05) ** 2) for r in rates]
        >>> surface = Surface(points, {"constant": 0.03})
        >>> round(surface.lowest("constant").lr, 2), round(surface.lowest("constant").loss, 1)
        (0.05, 2.0)
    """

    points: Sequence[SurfacePoint]
    centres: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(SurfacePoint(*point) for point in self.points))
        for rate in [*self.centres.values(), *(point.lr for point in self.points)]:
            check_number("Surface", "Pass learning rates", above=0, lr=rate)
        if not any(math.isfinite(point.loss) for point in self.points):
            rule = "one of the runs must end with a finite loss"
            fix = "Pass smaller learning rates, or look for NaN in the data"
            raise ValueError(complaint("Surface", rule, fix, runs=len(self.points)))

    @property
    def shapes(self) -> tuple[str, ...]:
        """The shapes that were run, in the order of their first runs."""
        return tuple(dict.fromkeys(point.shape for point in self.points))

    @property
    def curvature(self) -> float:
        """The curvature c of every shape, per squared decade."""
        return self._fit.curvature

    @property
    def noise(self) -> float | None:
        """The standard deviation of the runs around the surface; None if it is not known."""
        return self._fit.noise

    @property
    def best(self) -> str:
        """The shape with the lowest fitted loss."""
        return min(self.shapes, key=lambda shape: self.lowest(shape).loss)

    def loss(self, shape: str, lr: ArrayLike) -> Floats:
        """Return the fitted losses of a shape at learning rates, of the form of `lr`."""
        return self._as_loss(self._height(shape, self._offset(shape, lr)))

    def reach(self, shape: str) -> Range:
        """Return the lowest and the highest learning rate of a shape that was run."""
        rates = [point.lr for point in self.points if point.shape == shape]
        return min(rates), max(rates)

    def lowest(self, shape: str) -> Lowest:
        """Return the lowest point of a shape's curve within its reach."""
        low, high = self.reach(shape)
        lr = float(np.clip(self._rate(shape, self._bottom(shape)), low, high))
        return Lowest(lr, float(self.loss(shape, lr)))

    def as_good(self, shape: str) -> Range | None:
        """Return the learning rates that one run cannot tell from the lowest point.

        Their fitted loss is within the noise of it, and they are within the reach of the shape.
        None if the noise is not known.
        """
        if self.noise is None:
            return None
        bottom = self._bottom(shape)
        lowest = self._height(shape, self._offset(shape, self.lowest(shape).lr))
        above: float = float(lowest - self._height(shape, bottom)) + self.noise
        half = math.sqrt(max(0.0, above) / self.curvature)
        low, high = self.reach(shape)
        return max(low, self._rate(shape, bottom - half)), min(
            high, self._rate(shape, bottom + half)
        )

    def standard_error(self, shape: str) -> float | None:
        """Return that of the difference of a shape's lowest point to the best's, in units of y."""
        if self.noise is None:
            return None
        apart = self._row(shape) - self._row(self.best)
        return float(self.noise * math.sqrt(max(0.0, float(apart @ self._fit.spread @ apart))))

    def ties(self) -> tuple[str, ...]:
        """Return the shapes within one standard error of the best, that one included."""
        best = self.best
        heights = {
            shape: self._height(shape, self._offset(shape, self.lowest(shape).lr))
            for shape in self.shapes
        }
        return tuple(
            shape
            for shape, height in heights.items()
            if shape == best or height - heights[best] <= (self.standard_error(shape) or 0.0)
        )

    def to_dict(self) -> dict[str, Any]:
        """What was fitted, and the fit, as plain Python numbers, lists and dicts."""
        return {
            "points": [{"shape": p.shape, "lr": p.lr, "loss": p.loss} for p in self.points],
            "centres": dict(self.centres),
            "levels": dict(self._fit.levels),
            "slopes": dict(self._fit.slopes),
            "curvature": self.curvature,
            "noise": self.noise,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Surface":
        """The surface that `to_dict` wrote down, fitted again to the same points."""
        points = [SurfacePoint(**point) for point in values["points"]]
        return cls(points, dict(values["centres"]))

    @cached_property
    def _fit(self) -> "_Fit":
        return _fitted([self._offset(p.shape, p.lr) for p in self.points], self.points, self.shapes)

    @cached_property
    def _scale(self) -> tuple[float, float]:
        return _scale_of([point.loss for point in self.points])

    def _offset(self, shape: str, lr: ArrayLike) -> Floats:
        return np.asarray(np.log10(np.asarray(lr, dtype=np.float64) / self.centres[shape]))

    def _rate(self, shape: str, offset: float) -> float:
        return float(self.centres[shape] * 10.0**offset)

    def _bottom(self, shape: str) -> float:
        return -self._fit.slopes[shape] / (2 * self.curvature)

    def _height(self, shape: str, offset: ArrayLike) -> Floats:
        o, fit = np.asarray(offset, dtype=np.float64), self._fit
        return np.asarray(fit.levels[shape] + fit.slopes[shape] * o + fit.curvature * o**2)

    def _as_loss(self, height: Floats) -> Floats:
        lowest, unit = self._scale
        return np.asarray(lowest * np.exp(height) if lowest > 0 else lowest + unit * height)

    def _row(self, shape: str) -> Floats:
        offset = float(self._offset(shape, self.lowest(shape).lr))
        return _row(self.shapes, shape, offset)


def heights(losses: Sequence[float]) -> Floats:
    """Return the losses in units of y above the lowest, from 0 to 1; those that diverged are 1.

    Example:
        >>> heights([1.0, math.e ** 0.5, 100.0, math.inf]).tolist()
        [0.0, 0.5, 1.0, 1.0]
    """
    lowest, unit = _scale_of(losses)
    found = np.full(len(losses), _WORST)
    for index, loss in enumerate(losses):
        if math.isfinite(loss):
            above = math.log(loss / lowest) if lowest > 0 else (loss - lowest) / unit
            found[index] = min(above, _WORST)
    return found


@dataclass(frozen=True)
class _Fit:
    levels: dict[str, float]
    slopes: dict[str, float]
    curvature: float
    noise: float | None
    spread: Floats  # the inverse of the normal equations' matrix: a's, b's, c


def _fitted(
    offsets: Sequence[ArrayLike], points: Sequence[SurfacePoint], shapes: Sequence[str]
) -> _Fit:
    count = len(shapes)
    rows = [_row(shapes, p.shape, float(o)) for o, p in zip(offsets, points, strict=True)]  # type: ignore[arg-type]
    design, y = np.array(rows), heights([point.loss for point in points])
    ridge = np.diag([0.0] * count + [_RIDGE_SLOPE] * count + [_RIDGE_CURVATURE])
    spread: Floats = np.linalg.inv(design.T @ design + ridge).astype(np.float64)
    found = spread @ design.T @ y
    if found[-1] < _LEAST_CURVATURE:  # the others are then fitted to what that leaves
        spread = np.zeros_like(spread)
        spread[:-1, :-1] = np.linalg.inv((design.T @ design + ridge)[:-1, :-1])
        found = spread @ design.T @ (y - _LEAST_CURVATURE * design[:, -1])
        found[-1] = _LEAST_CURVATURE
    freedom = len(points) - float(np.trace(design @ spread @ design.T))
    squares = float(np.sum((y - design @ found) ** 2))
    return _Fit(
        levels=dict(zip(shapes, found[:count].tolist(), strict=True)),
        slopes=dict(zip(shapes, found[count:-1].tolist(), strict=True)),
        curvature=float(found[-1]),
        noise=math.sqrt(squares / freedom) if freedom >= _LEAST_FREEDOM else None,
        spread=spread,
    )


def _row(shapes: Sequence[str], shape: str, offset: float) -> Floats:
    place, count = shapes.index(shape), len(shapes)
    row = np.zeros(2 * count + 1)
    row[place], row[count + place], row[-1] = 1.0, offset, offset**2
    return row


def _scale_of(losses: Sequence[float]) -> tuple[float, float]:
    """Return the lowest loss, and what a unit of y is where that is not above zero."""
    finite = sorted(loss for loss in losses if math.isfinite(loss))
    gaps = [loss - finite[0] for loss in finite if loss > finite[0]]
    return finite[0], abs(finite[0]) or (gaps[0] if gaps else 1.0)
