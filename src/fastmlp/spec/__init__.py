"""What a network and its training are: frozen dataclasses that hold all validation and all defaults.

Nothing here touches data or buffers. The names of activations and losses come from the registries of `reference/`,
which mirror the lists of `csrc/ops`.
"""

from .activations import (
    ACTIVATION_ALIASES,
    ACTIVATION_NAMES,
    ELU,
    OUTPUT_NAMES,
    Activation,
    LeakyReLU,
    as_activation,
)
from .losses import LOSS_NAMES, BinaryCrossEntropy, CrossEntropy, Loss, Poisson, SquaredError, as_loss
from .network import DTYPE_NAMES, Layer, NetworkSpec
from .optimizers import OPTIMIZER_NAMES, SGD, Adam, Optimizer, as_optimizer
from .runs import STAGES, Outcome, Run, name_tensors, weights_and_biases
from .tables import powers

__all__ = [
    "ACTIVATION_ALIASES",
    "ACTIVATION_NAMES",
    "DTYPE_NAMES",
    "ELU",
    "LOSS_NAMES",
    "OPTIMIZER_NAMES",
    "OUTPUT_NAMES",
    "SGD",
    "STAGES",
    "Activation",
    "Adam",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Layer",
    "LeakyReLU",
    "Loss",
    "NetworkSpec",
    "Optimizer",
    "Outcome",
    "Poisson",
    "Run",
    "SquaredError",
    "as_activation",
    "as_loss",
    "as_optimizer",
    "name_tensors",
    "powers",
    "weights_and_biases",
]
