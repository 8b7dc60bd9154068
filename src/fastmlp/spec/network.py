"""A network: widths, activations, loss and number format, with all validation and all defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

import numpy as np

from fastmlp.spec.activations.base import Activation
from fastmlp.spec.activations.registry import as_activation
from fastmlp.spec.checks import (
    check_fields,
    choice,
    flag,
    fraction,
    integer,
    mapping,
    not_negative,
    positive,
    record,
    shown,
)
from fastmlp.spec.layer import Layer
from fastmlp.spec.losses.base import Loss
from fastmlp.spec.losses.registry import as_loss, loss_of_output
from fastmlp.spec.names import NormName

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastmlp.spec.names import Array

__all__ = ["DTYPE_NAMES", "NORM_EPSILON", "NORM_NAMES", "Layer", "NetworkSpec"]

DTYPE_NAMES: tuple[str, ...] = ("float32", "float64")
NORM_NAMES: tuple[str, ...] = get_args(NormName)
#: What is added to the variances that signals are divided by the roots of, as PyTorch's LayerNorm and BatchNorm1d do.
NORM_EPSILON = 1e-5
#: Widest layer: products of two widths stay far from the end of 64 bits.
MAX_WIDTH = 2**31 - 1
#: More parameters than any machine has; the bytes of all buffers together still fit in 64 bits.
MAX_PARAMETERS = 2**48


@dataclass(frozen=True)
class NetworkSpec:
    """A network: widths, activations, loss and number format. Every instance is valid; `make` also takes names.

    Parameters
    ----------
    sizes : tuple of int
        The architecture vector (d0, ..., dL): inputs, hidden widths, outputs; at least two, each >= 1.
    activations : tuple of Activation
        One per hidden layer.
    output : Activation
        The one that the loss is computed together with (softmax for cross_entropy), or any.
    loss : Loss
    dtype : str
        Of parameters, arithmetic and outputs: "float32" or "float64".
    dropout : tuple of float
        One per hidden layer, in [0, 1), or none: the probability that an output is dropped in training.
    input_dropout : float
        The same of the inputs.
    input_noise : float
        Standard deviation of Gaussian noise on the inputs in training, >= 0.
    l1, l2 : tuple of float
        One per layer, each >= 0, or none: its weights W add l1 sum |W| + l2 / 2 sum W^2 to the loss.
    residual : bool
        Whether a hidden layer as wide as the hidden layer before it adds its inputs to its outputs.
    norm : "layer", "batch" or None
        What hidden layers normalise between their products and their activations: each row, or each unit over a batch.
    max_norm : tuple of float or None
        One per layer, each > 0 or None, or none: the largest norm of a column of its weights after an update.
    bfloat16 : bool
        Whether products take their operands rounded to bfloat16; of a float32 network only.

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
    loss: Loss
    dtype: str
    dropout: tuple[float, ...] = ()
    input_dropout: float = 0.0
    input_noise: float = 0.0
    l1: tuple[float, ...] = ()
    l2: tuple[float, ...] = ()
    max_norm: tuple[float | None, ...] = ()
    residual: bool = False
    norm: NormName | None = None
    bfloat16: bool = False

    def __post_init__(self) -> None:
        sizes = _sizes(self.sizes)
        object.__setattr__(self, "sizes", sizes)
        if not isinstance(self.activations, tuple):
            raise TypeError(f"activations must be a tuple, got {shown(self.activations)}")
        if len(self.activations) != len(sizes) - 2:
            raise ValueError(
                f"activations must be one per hidden layer ({len(sizes) - 2}), got {len(self.activations)} of them"
            )
        for i, activation in enumerate(self.activations):
            if not isinstance(activation, Activation):
                raise TypeError(f"activations[{i}] must be an Activation, got {shown(activation)}")
            as_activation(activation, f"activations[{i}]")
        if not isinstance(self.output, Activation):
            raise TypeError(f"output must be an Activation, got {shown(self.output)}")
        if as_activation(self.output, "output").signals(1) > 1:
            raise ValueError(f"output must not have several pieces, which are for hidden layers, got {self.output!r}")
        if not isinstance(self.loss, Loss):
            raise TypeError(f"loss must be a Loss, got {shown(self.loss)}")
        wanted = as_loss(self.loss).output
        if wanted and self.output.name != wanted:
            raise ValueError(f"output must be {wanted!r} with the loss {self.loss.name!r}, got {self.output.name!r}")
        if sizes[-1] % self.loss.heads:
            raise ValueError(
                f"sizes must end with a multiple of {self.loss.heads}, the outputs that the loss {self.loss.name!r} "
                f"has for each target, got {sizes[-1]}"
            )
        targets = self.loss.target_width(sizes[-1])
        if self.loss.weights and len(self.loss.weights) != targets:
            raise ValueError(
                f"output_weights of the loss must be one for each of {targets} targets, got {len(self.loss.weights)}"
            )
        choice(self.dtype, "dtype", DTYPE_NAMES)
        for name, (kind, check) in _OF_LAYERS.items():
            layers = len(sizes) - (1 if kind == "layer" else 2)
            object.__setattr__(self, name, _each_layer(getattr(self, name), name, layers, kind, check))
        check_fields(self, input_dropout=fraction, input_noise=not_negative, residual=flag, bfloat16=flag)
        if self.bfloat16 and self.dtype != "float32":
            raise ValueError(f"bfloat16 is for networks of float32, got dtype {self.dtype!r}")
        if self.residual and not any(self.residuals):
            raise ValueError(
                f"residual is for neighbouring hidden layers of one width, of which sizes has none: {sizes}"
            )
        if self.norm is not None:
            choice(self.norm, "norm", NORM_NAMES)
            if len(sizes) == 2:
                raise ValueError(f"norm is for hidden layers, of which sizes has none: {sizes}")
        of_rows = [kind.written() for kind in self.activations if kind.custom or kind.whole_rows]
        if self.norm == "batch" and of_rows:
            raise ValueError(f"norm='batch' is for activations of single numbers, got {of_rows[0]}; 'layer' is for any")
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
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        l1: float | Sequence[float] = 0.0,
        l2: float | Sequence[float] = 0.0,
        max_norm: float | Sequence[float | None] | None = None,
        residual: bool = False,
        norm: NormName | None = None,
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
            Of parameters and arithmetic: float32 or float64; bfloat16: float32 with operands of products rounded to it.
        dropout : float or sequence of float, default 0
            Of the outputs of all hidden layers, or one per hidden layer, in [0, 1).
        input_dropout : float, default 0
            Of the inputs, in [0, 1).
        input_noise : float, default 0
            Standard deviation of Gaussian noise on the inputs in training.
        l1, l2 : float or sequence of float, default 0.0
            Penalties of all layers' weights in the loss, or one per layer.
        max_norm : float, None or sequence of them, optional
            The largest norm of the weights into a unit, of all layers or one per layer.
        residual : bool, default False
            Whether a hidden layer as wide as the hidden layer before it adds its inputs to its outputs.
        norm : {None, "layer", "batch"}
            What hidden layers normalise between their products and their activations.

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
        CrossEntropy(clip=0.0, label_smoothing=0.0)
        """
        checked = _sizes(sizes)
        hidden = len(checked) - 2
        activations = _hidden(activation, hidden)
        out = None if output is None else as_activation(output, "output")
        chosen = loss_of_output("identity" if out is None else out.name) if loss is None else as_loss(loss)
        if out is None:
            out = as_activation(chosen.output or "identity")
        if not hidden and not _several(dropout):
            fraction(dropout, "dropout")  # of no layer, but that is no reason to take anything for it
        rates, first, second, bounds = (
            _of_layers(each, layers)
            for each, layers in ((dropout, hidden), (l1, hidden + 1), (l2, hidden + 1), (max_norm, hidden + 1))
        )
        real, rounds = _number_format(dtype)
        layers = rates, input_dropout, input_noise, first, second, bounds, residual, norm
        return cls(checked, activations, out, chosen, real, *layers, rounds)

    @property
    def number_format(self) -> str:
        """The dtype that a user asks for to get this network."""
        return "bfloat16" if self.bfloat16 else self.dtype

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, the output one last."""
        activations = (*self.activations, self.output)
        return tuple(map(Layer, self.sizes[:-1], self.sizes[1:], activations))

    @property
    def residuals(self) -> tuple[bool, ...]:
        """Whether each layer adds its inputs to its outputs."""
        last = len(self.sizes) - 2
        return tuple(
            self.residual and 0 < i < last and self.sizes[i] == self.sizes[i + 1] for i in range(len(self.sizes) - 1)
        )

    @property
    def norms(self) -> tuple[NormName | None, ...]:
        """What each layer normalises."""
        return (*(self.norm,) * (len(self.sizes) - 2), None)

    @property
    def penalties(self) -> tuple[tuple[float, float], ...]:
        """(l1, l2) of each layer."""
        none = (0.0,) * (len(self.sizes) - 1)
        return tuple(zip(self.l1 or none, self.l2 or none, strict=True))

    @property
    def vectors(self) -> tuple[dict[str, int], ...]:
        """What each layer has beside its weights: the names of vectors, and their lengths."""
        return tuple(
            {"bias": layer.n_signals}
            | ({"gamma": layer.n_signals} if norm else {})
            | layer.activation.vectors(layer.n_out)
            for layer, norm in zip(self.layers, self.norms, strict=True)
        )

    @property
    def statistics(self) -> tuple[dict[str, int], ...]:
        """What each layer keeps that is not trained: the names of vectors, and their lengths."""
        return tuple(
            {"running_mean": n_out, "running_var": n_out} if norm == "batch" else {}
            for n_out, norm in zip(self.sizes[1:], self.norms, strict=True)
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The names of all tensors that are trained, layer by layer, and their shapes."""
        return _shapes(self.layers, self.vectors)

    @property
    def all_shapes(self) -> dict[str, tuple[int, ...]]:
        """The names of all tensors, with those of statistics, and their shapes."""
        return _shapes(self.layers, [own | kept for own, kept in zip(self.vectors, self.statistics, strict=True)])

    def beginning(self, weights: Sequence[Array]) -> dict[str, Array]:
        """All tensors by name as a training begins with them: these weights, gammas and variances 1, slopes as said."""
        found = {name: np.zeros(shape, self.dtype) for name, shape in self.all_shapes.items()}
        for name, array in found.items():
            if name.endswith((".gamma", ".running_var")):
                array += 1
            elif name.endswith(".slope"):
                array += self.layers[int(name.split(".")[1])].activation.params[0]
        return found | {f"layers.{number}.weight": weight for number, weight in enumerate(weights)}

    @property
    def n_parameters(self) -> int:
        """Numbers that are trained: weights, biases and others of the layers' vectors."""
        weights = sum(layer.n_in * layer.n_signals for layer in self.layers)
        return weights + sum(sum(vectors.values()) for vectors in self.vectors)

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The dropout of each layer's inputs, the first layer's first."""
        return self.input_dropout, *(self.dropout or (0.0,) * len(self.activations))

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; what came later only where it is used, as a file without it says no more."""
        return {
            "sizes": list(self.sizes),
            "activations": [activation.to_dict() for activation in self.activations],
            "output": self.output.to_dict(),
            "loss": self.loss.described(),
            "dtype": self.number_format,
            **{name: list(getattr(self, name)) for name in _OF_LAYERS if getattr(self, name)},
            **{name: getattr(self, name) for name in _OF_ALL if getattr(self, name)},
        }

    @classmethod
    def from_dict(
        cls,
        data: object,
        loss: str | Loss | None = None,
        activation: str | Activation | Sequence[str | Activation] | None = None,
        output: str | Activation | None = None,
    ) -> NetworkSpec:
        """The network that `to_dict` described, or with others of these; anything else is a TypeError or ValueError."""
        later = [name for name in (*_OF_LAYERS, *_OF_ALL) if name in mapping(data, "network")]
        fields = record(data, "network", ("sizes", "activations", "output", "loss", "dtype", *later))
        activations = fields["activations"]
        if not isinstance(activations, (list, tuple)):
            raise TypeError(f"activations must be a list, got {shown(activations)}")
        given: dict[str, Any] = {name: _numbers(fields[name], name) for name in _OF_LAYERS if name in later}
        dtype, given["bfloat16"] = _number_format(choice(fields["dtype"], "dtype", (*DTYPE_NAMES, "bfloat16")))
        return cls(
            _sizes(fields["sizes"]),
            tuple(map(Activation.from_dict, activations))
            if activation is None
            else _hidden(activation, len(activations)),
            Activation.from_dict(fields["output"]) if output is None else as_activation(output, "output"),
            Loss.from_dict(fields["loss"]) if loss is None else as_loss(loss),
            dtype,
            **given,
            **{name: fields[name] for name in _OF_ALL if name in later},
        )


def _shapes(layers: Sequence[Layer], vectors: Sequence[dict[str, int]]) -> dict[str, tuple[int, ...]]:
    """Name the tensors of all layers: their weights, and vectors of these lengths."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (layer, own) in enumerate(zip(layers, vectors, strict=True)):
        shapes[f"layers.{number}.weight"] = layer.n_in, layer.n_signals
        shapes.update({f"layers.{number}.{name}": (length,) for name, length in own.items()})
    return shapes


def _sizes(sizes: object) -> tuple[int, ...]:
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, (Sequence, np.ndarray)):
        raise TypeError(f"sizes must be a sequence of integers, got {shown(sizes)} of type {type(sizes).__name__}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must have at least 2 entries (inputs and outputs), got {shown(sizes)}")
    return tuple(integer(size, f"sizes[{i}]", 1, MAX_WIDTH) for i, size in enumerate(sizes))


def _several(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))


def _numbers(value: object, name: str) -> tuple[Any, ...]:
    if not _several(value):
        raise TypeError(f"{name} must be a sequence of numbers, got {shown(value)} of type {type(value).__name__}")
    return tuple(value)


def _of_layers(value: object, layers: int) -> tuple[Any, ...]:
    """One per layer: a number for all of them, or as many as are given."""
    return tuple(value) if _several(value) else (value,) * layers


def _bound(value: object, name: str) -> float | None:
    return None if value is None else positive(value, name)


#: What each layer, or hidden layer, may have a number of, and its check; 0 and None are nothing.
_OF_LAYERS: dict[str, tuple[str, Callable[[object, str], float | None]]] = {
    "dropout": ("hidden layer", fraction),
    "l1": ("layer", not_negative),
    "l2": ("layer", not_negative),
    "max_norm": ("layer", _bound),
}
#: What there is one of; like those above, it came after the first files had been written.
_OF_ALL = ("input_dropout", "input_noise", "residual", "norm")


def _each_layer(
    values: object, name: str, layers: int, kind: str, check: Callable[[object, str], float | None]
) -> tuple[float | None, ...]:
    """Return a number of each layer; an empty tuple where there is nothing in any."""
    given = _numbers(values, name)
    if len(given) not in {0, layers}:
        raise ValueError(f"{name} must be one for all or one per {kind} ({layers}), got {len(given)} of them")
    alike = len({shown(each) for each in given}) == 1
    checked = tuple(check(each, name if alike else f"{name}[{i}]") for i, each in enumerate(given))
    return checked if any(checked) else ()


def _hidden(activation: object, hidden: int) -> tuple[Activation, ...]:
    """Return the activations of so many hidden layers, of one for all or one for each."""
    if isinstance(activation, Sequence) and not isinstance(activation, str):
        if len(activation) != hidden:
            raise ValueError(
                f"activation must be one for all or one per hidden layer ({hidden}), got {len(activation)} of them"
            )
        return tuple(as_activation(each, f"activation[{i}]") for i, each in enumerate(activation))
    if isinstance(activation, (str, Activation)) or callable(activation):
        return (as_activation(activation, "activation"),) * hidden
    raise TypeError(
        "activation must be a name, an Activation or a sequence of them, "
        f"got {shown(activation)} of type {type(activation).__name__}"
    )


def _number_format(dtype: DTypeLike) -> tuple[str, bool]:
    """The dtype of a network's numbers, and whether its products take operands of bfloat16."""
    if dtype is None:  # which NumPy takes for float64
        raise TypeError("dtype must be float32, float64 or bfloat16, got None")
    try:
        name = dtype if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype).name
    except (TypeError, ValueError):
        name = ""
    if name not in (*DTYPE_NAMES, "bfloat16"):
        raise ValueError(f"dtype must be float32, float64 or bfloat16, got {shown(dtype)}")
    return name.replace("bfloat16", "float32"), name == "bfloat16"
