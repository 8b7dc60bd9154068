"""PyTorch's activations and fastmlp's: which module is which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from fastmlp.spec import ELU, LeakyReLU, PReLU, Softplus

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastmlp.spec import Activation

__all__ = ["MODULES", "activation_of"]

#: Modules as they come, by fastmlp's names for their functions.
MODULES: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softsign": nn.Softsign,
    "hardtanh": nn.Hardtanh,
    "hard_sigmoid": nn.Hardsigmoid,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "selu": nn.SELU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hard_swish": nn.Hardswish,
    "softmax": lambda: nn.Softmax(dim=-1),
    "prelu": nn.PReLU,
}

_PLAIN = {
    nn.Identity: "identity",
    nn.Sigmoid: "logistic",
    nn.Tanh: "tanh",
    nn.Softsign: "softsign",
    nn.Hardsigmoid: "hard_sigmoid",
    nn.ReLU: "relu",
    nn.SELU: "selu",
    nn.ReLU6: "relu6",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Hardswish: "hard_swish",
}


def activation_of(module: nn.Module) -> str | Activation | None:
    """Return what fastmlp calls the function of a module; None where it has none."""
    kind = type(module)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is nn.GELU:
        return "gelu" if module.approximate == "none" else "gelu_tanh"
    if kind is nn.Hardtanh:
        return "hardtanh" if (module.min_val, module.max_val) == (-1, 1) else None
    if kind is nn.Softmax:
        return "softmax" if module.dim in (-1, 1) else None
    if kind is nn.PReLU:
        return PReLU(per_unit=module.num_parameters > 1)
    try:
        if kind is nn.LeakyReLU:
            return LeakyReLU(module.negative_slope)
        if kind is nn.ELU:
            return ELU(module.alpha)
        if kind is nn.Softplus:
            return Softplus(module.beta)
    except ValueError:  # a parameter that fastmlp's function cannot have
        return None
    return None
