"""The optimizers: a frozen class for each, with its hyperparameters, which makes the table of a training.

To add one: a class in a family's file, its place in `__all__` there and its name in `Name`; nothing here.
"""

from typing import TYPE_CHECKING

from fastmlp.spec.optimizers import adam, adaptive, lbfgs, muon, schedule_free, sgd
from fastmlp.spec.optimizers.adam import *
from fastmlp.spec.optimizers.adaptive import *
from fastmlp.spec.optimizers.lbfgs import *
from fastmlp.spec.optimizers.muon import *
from fastmlp.spec.optimizers.schedule_free import *
from fastmlp.spec.optimizers.sgd import *

if not TYPE_CHECKING:  # a checker adds up no lists, and takes what the stars say
    __all__ = []
    __all__ += sgd.__all__
    __all__ += adam.__all__
    __all__ += adaptive.__all__
    __all__ += schedule_free.__all__
    __all__ += muon.__all__
    __all__ += lbfgs.__all__
