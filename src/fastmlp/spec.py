"""What a network and its training are: frozen dataclasses that hold all validation and all defaults.

Nothing here touches data or buffers. The names of activations and losses come from the registries of `reference/`,
which mirror the lists of `csrc/ops`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np

from .hints import explained_class
from .names import did_you_mean
from .reference.activation import ACTIVATIONS, OUTPUTS
from .reference.loss import LOSSES

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = [
    "ELU",
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
    "weights_and_biases",
]

#: Activations of hidden layers; an output layer may also be "softmax".
ACTIVATION_NAMES: tuple[str, ...] = tuple(ACTIVATIONS)
OUTPUT_NAMES: tuple[str, ...] = tuple(OUTPUTS)
LOSS_NAMES: tuple[str, ...] = tuple(LOSSES)
DTYPE_NAMES: tuple[str, ...] = ("float32", "float64")
ACTIVATION_ALIASES: dict[str, str] = {"linear": "identity", "sigmoid": "logistic"}

#: Widest layer: products of two widths stay far from the end of 64 bits.
MAX_WIDTH = 2**31 - 1
#: More parameters than any machine has; the bytes of all buffers together still fit in 64 bits.
MAX_PARAMETERS = 2**48


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run of training steps: what one call of `Engine.train` reads, and where it leaves its numbers.

    Step s takes the rows ``order[s * batch_size : (s + 1) * batch_size]`` and row s of the table.

    Attributes
    ----------
    X : ndarray, shape (n, d0)
        Any source dtype, any strides.
    y : ndarray
        int32 class labels (n,), or (n, O) of any source dtype.
    weight : ndarray of float64, shape (n,), or None
        A weight per row of X; a batch whose weights sum to 0 changes nothing.
    order : ndarray of int64, shape (m,)
        Row numbers.
    batch_size : int
        Rows of a step; the last batch may be smaller.
    table : ndarray of float64, shape (steps, S)
        From the optimizer's `scalars`: a row per step.
    losses : ndarray of float64, shape (steps,)
        Filled with each batch's weighted mean loss before its update.
    squared_weights : ndarray of float64, shape (steps,), or None
        Filled with the sum of all squared weights (not biases) before each update.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    order: NDArray[np.int64]
    batch_size: int
    table: NDArray[np.float64]
    losses: NDArray[np.float64]
    squared_weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of steps ended: what `Engine.train` returns.

    Attributes
    ----------
    steps : int
        Whole steps done; the parameters are those after that many updates.
    status : str
        "done", "interrupted" (a signal handler raised) or "non_finite" (the loss of step number `steps` was).
    exception : BaseException or None
        What the signal handler raised.
    weight_sums : ndarray of float64, one per step of the run
        The sum of the weights of each batch's rows, or the number of its rows: what its mean loss was divided by.
    """

    steps: int
    status: str
    exception: BaseException | None = None
    weight_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)


def name_tensors(weights: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One array of weights and one of biases per layer under the engine's names: "layers.0.weight", "layers.0.bias"."""
    tensors = {}
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        tensors[f"layers.{layer}.weight"], tensors[f"layers.{layer}.bias"] = weight, bias
    return tensors


def weights_and_biases(tensors: Mapping[str, NDArray[Any]]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The inverse of `name_tensors`: lists with an array per layer."""
    names = [f"layers.{layer}" for layer in range(len(tensors) // 2)]
    return [tensors[f"{name}.weight"] for name in names], [tensors[f"{name}.bias"] for name in names]


#: Stages of a training step, in its order: what a profile tells apart.
STAGES = ("gather", "forward", "loss", "backward", "update", "wait")


# --- arguments ------------------------------------------------------------------------------------------


def _shown(value: object) -> str:
    """A value for an error message: its repr, cut so that a hostile one cannot flood a log."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _integer(value: object, name: str, low: int, high: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {_shown(value)} of type {type(value).__name__}")
    number = operator.index(cast("Any", value))
    if not low <= number <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {number}")
    return number


def _real(value: object, name: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {_shown(value)} of type {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {_shown(value)}")
    return number


def _positive(value: object, name: str) -> float:
    number = _real(value, name)
    if number <= 0.0:
        raise ValueError(f"{name} must be > 0, got {number!r}")
    return number


def _not_negative(value: object, name: str) -> float:
    number = _real(value, name)
    if number < 0.0:
        raise ValueError(f"{name} must be >= 0, got {number!r}")
    return number


def _fraction(value: object, name: str) -> float:
    number = _real(value, name)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must be >= 0 and < 1, got {number!r}")
    return number


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {_shown(value)} of type {type(value).__name__}")
    return bool(value)


def _choice(value: object, name: str, names: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {_shown(value)} of type {type(value).__name__}")
    if value not in names:
        near = did_you_mean(value, names)
        raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}, got {_shown(value)}{near}")
    return str(value)


def _keys(data: object, name: str, keys: Sequence[str]) -> Mapping[str, Any]:
    """`data` as a mapping with exactly these keys."""
    if not isinstance(data, Mapping):
        raise TypeError(f"{name} must be a mapping, got {_shown(data)} of type {type(data).__name__}")
    if set(data) != set(keys):
        raise ValueError(f"{name} must have the keys {', '.join(map(repr, keys))}, got {_shown(list(data))}")
    return data


# --- activations and losses -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """An activation function and its parameter.

    Parameters
    ----------
    name : str
        "identity" (or "linear"), "sign", "logistic" (or "sigmoid"), "tanh", "relu", "leaky_relu", "elu", "softplus",
        "exp", and for the output layer "softmax".
    param : float, optional
        The slope of leaky_relu (default 0.01), the alpha of elu (default 1.0); no other has one. Not negative, because
        derivatives are computed from the outputs.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown or the parameter is not one that it can have.

    Examples
    --------
    >>> Activation("sigmoid")
    Activation(name='logistic', param=0.0)
    >>> Activation("leaky_relu").param
    0.01
    """

    name: str
    param: float = cast("Any", None)  # None stands for the default of that name, and is never stored

    def __post_init__(self) -> None:
        known = (*OUTPUT_NAMES, *ACTIVATION_ALIASES)
        name = _choice(self.name, "activation", known)
        name = ACTIVATION_ALIASES.get(name, name)
        entry = OUTPUTS[name]
        given: object = self.param
        param = entry.default if given is None else _real(given, entry.parameter or "param")
        if entry.parameter:
            param = _not_negative(param, entry.parameter)
        elif param != 0.0:
            raise ValueError(f"param must be 0.0 because {name} has no parameter, got {param!r}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "param", param + 0.0)  # -0.0 becomes 0.0

    def to_dict(self) -> dict[str, Any]:
        """Name and parameter, ready for JSON."""
        return {"name": self.name, "param": self.param}

    @classmethod
    def from_dict(cls, data: object) -> Activation:
        """The activation that `to_dict` described; anything else is a TypeError or ValueError."""
        fields = _keys(data, "activation", ("name", "param"))
        return cls(_choice(fields["name"], "activation", OUTPUT_NAMES), _real(fields["param"], "param"))


def LeakyReLU(slope: float = 0.01) -> Activation:
    """Leaky rectifier: z where z > 0, else slope * z (Maas et al. 2013).

    Parameters
    ----------
    slope : float, default 0.01
        Not negative.

    Examples
    --------
    >>> LeakyReLU(0.1)
    Activation(name='leaky_relu', param=0.1)
    """
    return Activation("leaky_relu", _not_negative(slope, "slope"))


def ELU(alpha: float = 1.0) -> Activation:
    """Exponential linear unit: z where z > 0, else alpha * (exp(z) - 1) (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float, default 1.0
        Not negative.

    Examples
    --------
    >>> ELU()
    Activation(name='elu', param=1.0)
    """
    return Activation("elu", _not_negative(alpha, "alpha"))


def as_activation(activation: str | Activation, name: str = "activation") -> Activation:
    """The activation meant by a name or an object; `name` is the argument that an error speaks of.

    Examples
    --------
    >>> as_activation("elu")
    Activation(name='elu', param=1.0)
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(
            f"{name} must be a name or an Activation, got {_shown(activation)} of type {type(activation).__name__}"
        )
    return Activation(_choice(activation, name, (*OUTPUT_NAMES, *ACTIVATION_ALIASES)))


@dataclass(frozen=True)
class Loss:
    """Base of the losses; a loss is of a row, that of a batch is the (weighted) mean of its rows'.

    Keras and PyTorch take means over the K outputs of a row, too, so that learning rates and weight decay do not carry
    over. With the same data, ours is theirs times:

    ====================  =============================================
    squared_error         K / 2 (their mse has no 1/2)
    binary_cross_entropy  K
    cross_entropy         1
    poisson               K, and a constant that has no gradient
    ====================  =============================================
    """

    name: ClassVar[str]


@dataclass(frozen=True)
class SquaredError(Loss):
    """1/2 sum_k (a_k - y_k)^2 over the outputs a of a row; goes with any output activation.

    Examples
    --------
    >>> SquaredError().name
    'squared_error'
    """

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-sum_k y_k log a_k over the outputs a of a softmax, computed from its logits.

    Examples
    --------
    >>> CrossEntropy().name
    'cross_entropy'
    """

    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-sum_k y_k log a_k + (1 - y_k) log(1 - a_k) over logistic outputs a, computed from their logits.

    Examples
    --------
    >>> BinaryCrossEntropy().name
    'binary_cross_entropy'
    """

    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Poisson(Loss):
    """sum_k y_k log(y_k / a_k) - y_k + a_k, half the Poisson deviance, over outputs a = exp(z), computed from z.

    Targets are counts or rates, >= 0; 0 log 0 = 0. The metric that goes with it is the share of the deviance that is
    explained, "d2".

    Examples
    --------
    >>> Poisson().name
    'poisson'
    """

    name: ClassVar[str] = "poisson"


def as_loss(loss: str | Loss, name: str = "loss") -> str:
    """The name of the loss meant by a name or an object.

    Examples
    --------
    >>> as_loss(CrossEntropy())
    'cross_entropy'
    """
    if isinstance(loss, Loss):
        return _choice(getattr(loss, "name", None), name, LOSS_NAMES)
    if not isinstance(loss, str):
        raise TypeError(f"{name} must be a name or a Loss, got {_shown(loss)} of type {type(loss).__name__}")
    return _choice(loss, name, LOSS_NAMES)


# --- optimizers -----------------------------------------------------------------------------------------

_STRIDE = 1024


@lru_cache(maxsize=256)
def _block_of_powers(beta: float, block: int) -> NDArray[np.float64]:
    """beta^(_STRIDE block + 1) ... beta^(_STRIDE (block + 1)), read-only."""
    chain = np.full(_STRIDE + 1, beta)
    first = 1.0
    with np.errstate(under="ignore"):
        if block:
            # By squaring, so that a step count of any size (a file may claim one) takes no time.
            square = float(_block_of_powers(beta, 0)[-1])
            while block:
                first, square, block = first * square if block & 1 else first, square * square, block >> 1
        chain[0] = first
        np.multiply.accumulate(chain, out=chain)
    chain.flags.writeable = False
    return chain[1:]


def powers(beta: float, start: int, steps: int) -> NDArray[np.float64]:
    """beta^(start + 1) ... beta^(start + steps), by multiplications whose order depends on the exponent alone.

    pow() differs between C libraries; a product does not, and where a run was cut in two does not show.
    The answer may be read-only.
    """
    first = start // _STRIDE
    blocks = [_block_of_powers(beta, block) for block in range(first, (start + max(steps, 1) - 1) // _STRIDE + 1)]
    chain = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return chain[start - first * _STRIDE :][:steps]


def _counts(beta: float, start: int) -> bool:
    """False where 1 - beta^(start + 1) is 1, as then for all later steps: below 2^-54, of which 2^-64 is well short."""
    return beta > 0 and (start + 1) * math.log2(beta) > -64


@lru_cache(maxsize=16)
def _block_of_rows(row: tuple[float, ...]) -> NDArray[np.float64]:
    """One row _STRIDE times, read-only: to copy them takes a quarter of the time that filling columns does."""
    block = np.tile(row, (_STRIDE, 1))
    block.flags.writeable = False
    return block


def _equal_rows(row: tuple[float, ...], steps: int) -> NDArray[np.float64]:
    rows = np.empty((steps, len(row)))
    block = _block_of_rows(row)
    for start in range(0, steps, _STRIDE):
        rows[start : start + _STRIDE] = block[: steps - start]
    return rows


@dataclass(frozen=True)
class Optimizer:
    """Base of the optimizers: hyperparameters, and one row of scalars for each step of a run.

    Attributes
    ----------
    name : str
        What engines know it by.
    columns : tuple of str
        Names of the scalars of a step, in the order of `csrc/ops/optimizer.inl`.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    def scalars(self, start: int, steps: int) -> NDArray[np.float64]:
        """The scalars of `steps` steps after the first `start` ones, float64 (steps, len(columns)).

        Row s belongs to step number t = start + s + 1 (t counts from 1) and is the same, bit for bit, however a run
        is cut.
        """
        start = _integer(start, "start", 0, 2**62)
        steps = _integer(steps, "steps", 0, 2**62)
        return self._rows(start, steps)

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Name and hyperparameters, ready for JSON."""
        return {"name": self.name, **dataclasses.asdict(self)}

    @staticmethod
    def from_dict(data: object) -> Optimizer:
        """The optimizer that `to_dict` described; anything else is a TypeError or ValueError."""
        if not isinstance(data, Mapping):
            raise TypeError(f"optimizer must be a mapping, got {_shown(data)} of type {type(data).__name__}")
        kind = OPTIMIZERS[_choice(data.get("name"), "optimizer name", OPTIMIZER_NAMES)]
        fields = dict(_keys(data, "optimizer", ("name", *(field.name for field in dataclasses.fields(kind)))))
        del fields["name"]
        return kind(**fields)


@explained_class
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964; Nesterov as in Sutskever et al. 2013, PyTorch's form).

    For weights (not biases) g += weight_decay * w; then buf = momentum * buf + g, and w -= learning_rate * d with
    d = g + momentum * buf if nesterov, else buf. (Engines multiply g by a scale before it enters buf; here that is 1.)

    Parameters
    ----------
    learning_rate : float, default 0.01
        > 0.
    momentum : float, default 0.0
        >= 0 and < 1. Where it is 0, buf rests as it is.
    nesterov : bool, default False
        Needs momentum > 0.
    weight_decay : float, default 0.0
        >= 0.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).scalars(start=0, steps=1)
    array([[0.1, 0.9, 0. , 1. , 0. ]])
    """

    name: ClassVar[str] = "sgd"
    columns: ClassVar[tuple[str, ...]] = ("learning_rate", "momentum", "nesterov", "gradient_scale", "weight_decay")

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", _positive(self.learning_rate, "learning_rate"))
        object.__setattr__(self, "momentum", _fraction(self.momentum, "momentum"))
        object.__setattr__(self, "nesterov", _flag(self.nesterov, "nesterov"))
        object.__setattr__(self, "weight_decay", _not_negative(self.weight_decay, "weight_decay"))
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0.0")

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:  # noqa: ARG002 - all steps are alike
        return _equal_rows((self.learning_rate, self.momentum, float(self.nesterov), 1.0, self.weight_decay), steps)


@explained_class
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, PyTorch's form).

    Weight decay is a term of the gradient, as in PyTorch's Adam, not AdamW's: for weights (not biases)
    g += weight_decay * w; then m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, and
    w -= learning_rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon).

    Parameters
    ----------
    learning_rate : float, default 1e-3
        > 0.
    beta1, beta2 : float, default 0.9 and 0.999
        >= 0 and < 1.
    epsilon : float, default 1e-8
        > 0.
    weight_decay : float, default 0.0
        >= 0.

    Raises
    ------
    TypeError, ValueError
        If a hyperparameter is not a number of its range.

    Examples
    --------
    >>> rows = Adam(0.5, beta1=0.5).scalars(start=0, steps=2)
    >>> rows[:, 0]  # learning_rate / (1 - beta1^t)
    array([1.        , 0.66666667])
    """

    name: ClassVar[str] = "adam"
    columns: ClassVar[tuple[str, ...]] = (
        "step_size",
        "beta1",
        "beta2",
        "one_minus_beta1",
        "one_minus_beta2",
        "inv_sqrt_correction2",
        "epsilon",
        "weight_decay",
    )

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", _positive(self.learning_rate, "learning_rate"))
        object.__setattr__(self, "beta1", _fraction(self.beta1, "beta1"))
        object.__setattr__(self, "beta2", _fraction(self.beta2, "beta2"))
        object.__setattr__(self, "epsilon", _positive(self.epsilon, "epsilon"))
        object.__setattr__(self, "weight_decay", _not_negative(self.weight_decay, "weight_decay"))

    def _rows(self, start: int, steps: int) -> NDArray[np.float64]:
        rests = 1.0 - self.beta1, 1.0 - self.beta2
        row = (self.learning_rate, self.beta1, self.beta2, *rests, 1.0, self.epsilon, self.weight_decay)
        rows = _equal_rows(row, steps)
        if _counts(self.beta1, start):
            rows[:, 0] = self.learning_rate / (1.0 - powers(self.beta1, start, steps))
        if _counts(self.beta2, start):
            rows[:, 5] = 1.0 / np.sqrt(1.0 - powers(self.beta2, start, steps))
        return rows


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, Adam)}
OPTIMIZER_NAMES: tuple[str, ...] = tuple(OPTIMIZERS)


def as_optimizer(optimizer: str | Optimizer | None, name: str = "optimizer") -> Optimizer:
    """The optimizer meant by a name or an object; None means `Adam()`.

    Examples
    --------
    >>> as_optimizer("sgd")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=0.0)
    """
    if optimizer is None:
        return Adam()
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(
            f"{name} must be a name or an optimizer, got {_shown(optimizer)} of type {type(optimizer).__name__}"
        )
    return OPTIMIZERS[_choice(optimizer, name, OPTIMIZER_NAMES)]()


# --- networks -------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    """One layer: a = f(x W + b) with x of n_in and a of n_out numbers."""

    n_in: int
    n_out: int
    activation: Activation


@dataclass(frozen=True)
class NetworkSpec:
    """A network: widths, activations, loss and number format. Every instance is valid; `make` also takes names.

    Parameters
    ----------
    sizes : tuple of int
        The architecture vector (d0, ..., dL): inputs, hidden widths, outputs; at least two, each >= 1.
    activations : tuple of Activation
        One per hidden layer; not softmax.
    output : Activation
        Softmax for cross_entropy, logistic for binary_cross_entropy, exp for poisson, any for squared_error.
    loss : str
        "squared_error", "cross_entropy", "binary_cross_entropy" or "poisson".
    dtype : str
        "float32" or "float64".

    Raises
    ------
    TypeError, ValueError
        If a part is not as above.

    Examples
    --------
    >>> spec = NetworkSpec.make([3, 4, 2], activation="tanh")
    >>> spec.n_parameters
    26
    >>> NetworkSpec.from_dict(spec.to_dict()) == spec
    True
    """

    sizes: tuple[int, ...]
    activations: tuple[Activation, ...]
    output: Activation
    loss: str
    dtype: str

    def __post_init__(self) -> None:
        sizes = _sizes(self.sizes)
        object.__setattr__(self, "sizes", sizes)
        if not isinstance(self.activations, tuple):
            raise TypeError(f"activations must be a tuple, got {_shown(self.activations)}")
        if len(self.activations) != len(sizes) - 2:
            raise ValueError(
                f"activations must be one per hidden layer ({len(sizes) - 2}), got {len(self.activations)} of them"
            )
        for i, activation in enumerate(self.activations):
            if not isinstance(activation, Activation):
                raise TypeError(f"activations[{i}] must be an Activation, got {_shown(activation)}")
            _choice(activation.name, f"activations[{i}]", ACTIVATION_NAMES)
        if not isinstance(self.output, Activation):
            raise TypeError(f"output must be an Activation, got {_shown(self.output)}")
        fused = LOSSES[_choice(self.loss, "loss", LOSS_NAMES)].output
        if fused and self.output.name != fused:
            raise ValueError(f"output must be {fused!r} with the loss {self.loss!r}, got {self.output.name!r}")
        _choice(self.dtype, "dtype", DTYPE_NAMES)
        if self.n_parameters > MAX_PARAMETERS:
            raise ValueError(f"sizes must make at most {MAX_PARAMETERS} parameters, got {self.n_parameters}")

    @classmethod
    def make(
        cls,
        sizes: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        output: str | Activation | None = None,
        loss: str | Loss | None = None,
        dtype: DTypeLike = "float32",
    ) -> NetworkSpec:
        """A specification from names or objects.

        Parameters
        ----------
        sizes : sequence of int
            The architecture vector (d0, ..., dL).
        activation : str, Activation or a sequence of them, default "relu"
            Of all hidden layers, or one per hidden layer.
        output : str, Activation or None
            None: what the loss wants; identity for squared_error.
        loss : str, Loss or None
            None: what goes with the output: cross_entropy with softmax, binary_cross_entropy with logistic, poisson
            with exp, else squared_error.
        dtype : str or dtype, default "float32"
            Of parameters and arithmetic: float32 or float64.

        Returns
        -------
        NetworkSpec

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.

        Examples
        --------
        >>> NetworkSpec.make([2, 1], loss="binary_cross_entropy").output.name
        'logistic'
        >>> NetworkSpec.make([4, 8, 3], output="softmax").loss
        'cross_entropy'
        """
        checked = _sizes(sizes)
        hidden = len(checked) - 2
        if isinstance(activation, (str, Activation)):
            one = _hidden(activation, "activation")
            activations = (one,) * hidden
        elif isinstance(activation, Sequence):
            if len(activation) != hidden:
                raise ValueError(
                    f"activation must be one for all or one per hidden layer ({hidden}), got {len(activation)} of them"
                )
            activations = tuple(_hidden(each, f"activation[{i}]") for i, each in enumerate(activation))
        else:
            raise TypeError(
                "activation must be a name, an Activation or a sequence of them, "
                f"got {_shown(activation)} of type {type(activation).__name__}"
            )
        out = None if output is None else as_activation(output, "output")
        if loss is None:
            fused = {entry.output: name for name, entry in LOSSES.items() if entry.output}
            loss_name = "squared_error" if out is None else fused.get(out.name, "squared_error")
        else:
            loss_name = as_loss(loss)
        if out is None:
            out = Activation(LOSSES[loss_name].output or "identity")
        return cls(checked, activations, out, loss_name, _dtype(dtype))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, the output one last."""
        activations = (*self.activations, self.output)
        return tuple(map(Layer, self.sizes[:-1], self.sizes[1:], activations))

    @property
    def n_parameters(self) -> int:
        """Weights and biases together."""
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "sizes": list(self.sizes),
            "activations": [activation.to_dict() for activation in self.activations],
            "output": self.output.to_dict(),
            "loss": self.loss,
            "dtype": self.dtype,
        }

    @classmethod
    def from_dict(cls, data: object) -> NetworkSpec:
        """The network that `to_dict` described; anything else is a TypeError or ValueError."""
        fields = _keys(data, "network", ("sizes", "activations", "output", "loss", "dtype"))
        activations = fields["activations"]
        if not isinstance(activations, (list, tuple)):
            raise TypeError(f"activations must be a list, got {_shown(activations)}")
        return cls(
            _sizes(fields["sizes"]),
            tuple(map(Activation.from_dict, activations)),
            Activation.from_dict(fields["output"]),
            fields["loss"],
            fields["dtype"],
        )


def _sizes(sizes: object) -> tuple[int, ...]:
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, (Sequence, np.ndarray)):
        raise TypeError(f"sizes must be a sequence of integers, got {_shown(sizes)} of type {type(sizes).__name__}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must have at least 2 entries (inputs and outputs), got {_shown(sizes)}")
    return tuple(_integer(size, f"sizes[{i}]", 1, MAX_WIDTH) for i, size in enumerate(sizes))


def _hidden(activation: str | Activation, name: str) -> Activation:
    checked = as_activation(activation, name)
    if checked.name not in ACTIVATION_NAMES:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, ACTIVATION_NAMES))}, got {checked.name!r}, "
            "which is for the output layer only"
        )
    return checked


def _dtype(dtype: DTypeLike) -> str:
    if dtype is None:  # which NumPy takes for float64
        raise TypeError("dtype must be float32 or float64, got None")
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = ""
    if name not in DTYPE_NAMES:
        raise ValueError(f"dtype must be float32 or float64, got {_shown(dtype)}")
    return name
