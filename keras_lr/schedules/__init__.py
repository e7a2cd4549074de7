"""Learning rates as pure functions of the step: shapes, cycles, and operators that combine them."""

# Imported for what they announce: operators, and a class that saved optimizers hold.
from keras_lr.schedules import arithmetic as arithmetic
from keras_lr.schedules import operators as operators
from keras_lr.schedules import scaled as scaled
from keras_lr.schedules import stretched as stretched
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.cycles import CosineRestarts, Triangular
from keras_lr.schedules.decays import (
    Geometric,
    InversePower,
    InverseSqrt,
    InverseTime,
    Step,
)
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.from_callable import FromCallable
from keras_lr.schedules.pieces import (
    Interpolated,
    MultiStep,
    PiecewiseConstant,
    Table,
)
from keras_lr.schedules.recipes import WSD, FlatCosine, OneCycle, join
from keras_lr.schedules.shapes import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    Polynomial,
    ScaledExponential,
    Tanh,
)
from keras_lr.schedules.trapezoid import Trapezoid

__all__ = [
    "WSD",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "FlatCosine",
    "FromCallable",
    "Geometric",
    "Interpolated",
    "InversePower",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "MultiStep",
    "OneCycle",
    "PiecewiseConstant",
    "Polynomial",
    "ScaledExponential",
    "Schedule",
    "Step",
    "Table",
    "Tanh",
    "Trapezoid",
    "Triangular",
    "join",
    "schedule",
]


def __dir__() -> list[str]:
    return sorted(__all__)
