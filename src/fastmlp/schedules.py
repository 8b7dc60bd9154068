"""Schedules of learning rates, weight decays, momenta and betas, by the step or by the epoch.

>>> import fastmlp
>>> rate = fastmlp.schedules.Cosine(1e-3, steps=1000, warmup=100)
>>> fastmlp.AdamW(rate, weight_decay=0.01).learning_rate(550)
0.0005
"""

from fastmlp.spec.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    CosLog,
    Exponential,
    FlatCosine,
    Function,
    InverseScaling,
    InverseSqrt,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
)

__all__ = [
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
