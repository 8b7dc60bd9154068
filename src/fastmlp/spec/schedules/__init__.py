"""Schedules: a hyperparameter's value in every step of a training, in place of one number.

To add one: a class in one of the files here and its place in SCHEDULES. Values are made of operations that give the
same bits everywhere.
"""

from __future__ import annotations

from fastmlp.spec.scheduled import Schedule
from fastmlp.spec.schedules.cosines import Cosine, CosineRestarts, CosLog, FlatCosine, OneCycle
from fastmlp.spec.schedules.decays import (
    Constant,
    Exponential,
    InverseScaling,
    InverseSqrt,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from fastmlp.spec.schedules.function import Function

__all__ = [
    "SCHEDULES",
    "Constant",
    "CosLog",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "FlatCosine",
    "Function",
    "InverseScaling",
    "InverseSqrt",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "Step",
]

#: By name, those that files have: not a user's Function.
SCHEDULES: dict[str, type[Schedule]] = {
    kind.name: kind
    for kind in (
        Constant, Linear, Polynomial, Step, MultiStep, Exponential, InverseSqrt, InverseScaling, Cosine, CosineRestarts,
        OneCycle, FlatCosine, CosLog,
    )
}  # fmt: skip
