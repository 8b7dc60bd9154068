"""The description of a network and its training: frozen dataclasses that hold all validation and all defaults.

Nothing here touches a network's data or buffers, or imports another part of the package. Activations and losses have
their formulas in NumPy here, for the NumPy engine. The lists of names are those of `csrc/ops`; a test holds them equal.
"""

from typing import TYPE_CHECKING

from fastmlp.spec import activations, losses, optimizers
from fastmlp.spec.activations import *
from fastmlp.spec.activations.base import Activation, Scratch
from fastmlp.spec.activations.registry import (
    ACTIVATION_ALIASES,
    ACTIVATION_NAMES,
    ACTIVATIONS,
    ActivationName,
    as_activation,
)
from fastmlp.spec.clipping import NO_CLIP, Clip, as_clip
from fastmlp.spec.losses import *
from fastmlp.spec.losses.base import Interval, Loss, LossRows, Target
from fastmlp.spec.losses.registry import LOSS_ALIASES, LOSS_NAMES, LOSSES, MEANS, LossName, as_loss, loss_of_output
from fastmlp.spec.names import Array, BackendName, ClassWeight, DTypeName, Float, MetricLike, NormName
from fastmlp.spec.network import DTYPE_NAMES, NORM_EPSILON, NORM_NAMES, Layer, NetworkSpec
from fastmlp.spec.normalizing import NORMALIZATIONS, NOT_NORMALIZED, Normalization, Normalizing, Scaling
from fastmlp.spec.operations import Operation
from fastmlp.spec.optimizers import *
from fastmlp.spec.optimizers.base import Optimizer
from fastmlp.spec.optimizers.registry import (
    OPTIMIZER_NAMES,
    OPTIMIZERS,
    Method,
    OptimizerName,
    as_method,
    as_optimizer,
)
from fastmlp.spec.rates import NO_RATES, Rates, as_rates
from fastmlp.spec.runs import STAGES, Cut, Outcome, Run, name_tensors, weights_and_biases
from fastmlp.spec.scheduled import Schedule
from fastmlp.spec.tables import make_table, powers

if not TYPE_CHECKING:  # a checker adds up no lists, and takes what the imports say
    __all__ = [
        "ACTIVATIONS",
        "ACTIVATION_ALIASES",
        "ACTIVATION_NAMES",
        "DTYPE_NAMES",
        "LOSSES",
        "LOSS_ALIASES",
        "LOSS_NAMES",
        "MEANS",
        "NORMALIZATIONS",
        "NORM_EPSILON",
        "NORM_NAMES",
        "NOT_NORMALIZED",
        "NO_CLIP",
        "NO_RATES",
        "OPTIMIZERS",
        "OPTIMIZER_NAMES",
        "STAGES",
        "Activation",
        "ActivationName",
        "Array",
        "BackendName",
        "ClassWeight",
        "Clip",
        "Cut",
        "DTypeName",
        "Float",
        "Interval",
        "Layer",
        "Loss",
        "LossName",
        "LossRows",
        "Method",
        "MetricLike",
        "NetworkSpec",
        "NormName",
        "Normalization",
        "Normalizing",
        "Operation",
        "Optimizer",
        "OptimizerName",
        "Outcome",
        "Rates",
        "Run",
        "Scaling",
        "Schedule",
        "Scratch",
        "Target",
        "as_activation",
        "as_clip",
        "as_loss",
        "as_method",
        "as_optimizer",
        "as_rates",
        "loss_of_output",
        "make_table",
        "name_tensors",
        "powers",
        "weights_and_biases",
    ]
    __all__ += activations.__all__
    __all__ += losses.__all__
    __all__ += optimizers.__all__
