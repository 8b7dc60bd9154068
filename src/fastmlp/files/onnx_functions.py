"""ONNX's elementwise operators in NumPy, and which activation a chain of them is.

Exporters write one activation in many ways: SiLU is an operator, or Sigmoid and Mul; GELU four operators, or one. So a
chain is not compared with patterns but computed, at some hundred signals, and the activation is the one that has its
values there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.spec import ACTIVATION_NAMES, ELU, LeakyReLU, Softplus, as_activation
from fastmlp.spec.activations.base import Activation, Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastmlp.spec import Array

__all__ = ["ELEMENTWISE", "PROBES", "activation_with"]

#: Signals at which a chain is computed: not zero, where a sign is not told apart from what is next to it, and some so
#: large that a limit shows which no activation has.
PROBES = np.concatenate([np.linspace(-12.03, 12.01, 121), [-300.0, -30.0, -1e-3, 1e-3, 30.0, 300.0]])
#: Constants in models are of float32, and written with the digits of whoever wrote them.
TOLERANCE = 2e-5

_erf: Callable[[Array], Array] = np.vectorize(math.erf, otypes=[np.float64])


def _logistic(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _selu(x: Array, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Array:
    scaled: Array = gamma * _elu(x, alpha)
    return scaled


def _hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    limited: Array = np.minimum(np.maximum(alpha * x + beta, 0.0), 1.0)
    return limited


def _gelu(x: Array, approximate: bytes = b"none") -> Array:
    inner = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    share: Array = _logistic(inner) if approximate == b"tanh" else (1 + _erf(x * math.sqrt(0.5))) / 2
    return x * share


def _clip(x: Array, *bounds: Array | None, **attributes: float) -> Array:
    """Limit x: the bounds are inputs, or attributes until opset 11."""
    given = dict(zip(("min", "max"), bounds, strict=False)) | attributes
    for name, limit in (("min", np.maximum), ("max", np.minimum)):
        bound = given.get(name)
        x = x if bound is None else limit(x, bound)
    return x


def _same(x: Array, **_: object) -> Array:
    return x


#: By the operator: a function of its inputs, with its attributes as keywords.
ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "Identity": _same,
    "Dropout": lambda x, *_, **__: x,  # out of training it does nothing
    "Cast": _same,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Erf": _erf,
    "Reciprocal": np.reciprocal,
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Min": np.minimum,
    "Max": np.maximum,
    "Clip": _clip,
    "Sigmoid": _logistic,
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0.0),
    "LeakyRelu": lambda x, alpha=0.01: np.where(x > 0, x, alpha * x),
    "PRelu": lambda x, slope: np.where(x > 0, x, slope * x),
    "Elu": lambda x, alpha=1.0: _elu(x, alpha),
    "Selu": _selu,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "Gelu": _gelu,
    "Swish": lambda x, alpha=1.0: x * _logistic(alpha * x),
}


def activation_with(values: Array) -> Activation | None:
    """The activation that has these values at `PROBES`; None if there is no such."""
    for activation in _candidates(values):
        found = PROBES.reshape(-1, 1).copy()
        with np.errstate(all="ignore"):
            activation.forward(found, Scratch(np.empty_like(found), np.empty(found.shape, bool), np.empty_like(found)))
        error = np.abs(found[:, 0] - values)
        if (error <= TOLERANCE * np.maximum(1.0, np.abs(values))).all():
            return activation
    return None


def _candidates(values: Array) -> Iterator[Activation]:
    """Every activation as it comes, and those with a parameter as the values say that it is."""
    for name in ACTIVATION_NAMES:
        kind: Any = as_activation(name)
        if not kind.vectors(1):  # what it has learned tells its node
            yield kind
    at: dict[float, float] = dict(zip(PROBES.tolist(), values.tolist(), strict=True))
    slope, depth = at[-30.0] / -30.0, -at[-30.0]
    if 0 <= slope < math.inf:
        yield LeakyReLU(_rounded(slope))
    if 0 < depth < math.inf:
        yield ELU(_rounded(depth))
    middle = (at[-1e-3] + at[1e-3]) / 2
    if 0 < middle < math.inf:
        yield Softplus(_rounded(math.log(2) / middle, 4))


def _rounded(value: float, digits: int = 6) -> float:
    """The number that someone typed, where it went through float32 on its way."""
    return float(f"{value:.{digits}g}")
