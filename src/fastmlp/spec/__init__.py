"""The description of a network and its training: frozen dataclasses that hold all validation and all defaults.

Nothing here touches data or buffers, or imports another part of the package. The lists of names are those of
`csrc/ops` and of `reference/`; a test holds them equal.
"""

from fastmlp.spec.activations import (
    ACTIVATION_ALIASES,
    ACTIVATION_NAMES,
    ACTIVATIONS,
    ELU,
    OUTPUT_NAMES,
    Activation,
    ActivationName,
    LeakyReLU,
    OutputName,
    Softplus,
    as_activation,
)
from fastmlp.spec.losses import (
    LOSS_NAMES,
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Interval,
    Loss,
    LossName,
    Poisson,
    SquaredError,
    as_loss,
    loss_of_output,
)
from fastmlp.spec.names import Array, BackendName, DTypeName, Float
from fastmlp.spec.network import DTYPE_NAMES, Layer, NetworkSpec
from fastmlp.spec.operations import Operation
from fastmlp.spec.optimizers import OPTIMIZER_NAMES, OPTIMIZERS, SGD, Adam, Optimizer, OptimizerName, as_optimizer
from fastmlp.spec.runs import STAGES, Outcome, Run, name_tensors, weights_and_biases
from fastmlp.spec.tables import make_table, powers

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_ALIASES",
    "ACTIVATION_NAMES",
    "DTYPE_NAMES",
    "ELU",
    "LOSSES",
    "LOSS_NAMES",
    "OPTIMIZERS",
    "OPTIMIZER_NAMES",
    "OUTPUT_NAMES",
    "SGD",
    "STAGES",
    "Activation",
    "ActivationName",
    "Adam",
    "Array",
    "BackendName",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "DTypeName",
    "Float",
    "Interval",
    "Layer",
    "LeakyReLU",
    "Loss",
    "LossName",
    "NetworkSpec",
    "Operation",
    "Optimizer",
    "OptimizerName",
    "Outcome",
    "OutputName",
    "Poisson",
    "Run",
    "Softplus",
    "SquaredError",
    "as_activation",
    "as_loss",
    "as_optimizer",
    "loss_of_output",
    "make_table",
    "name_tensors",
    "powers",
    "weights_and_biases",
]
