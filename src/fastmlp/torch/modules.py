"""Modules that hold PyTorch's layers and compute runs of them at once."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from fastmlp.spec.names import did_you_mean
from fastmlp.torch.activations import MODULES
from fastmlp.torch.fused import Fused, UnfitError, describe
from fastmlp.torch.operators import Network, network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MLP", "Accelerated", "Run"]


#: What of a module decides what it computes, and may be set at any time.
_SETTINGS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Dropout: ("p",),
    nn.ELU: ("alpha",),
    nn.GELU: ("approximate",),
    nn.Hardtanh: ("min_val", "max_val"),
    nn.LayerNorm: ("eps",),
    nn.LeakyReLU: ("negative_slope",),
    nn.Softmax: ("dim",),
    nn.Softplus: ("beta",),
}

#: What is trained of a module, in the order of the engine's tensors: where a LayerNorm follows a Linear, the biases are
#: its, and gamma comes behind them.
_PARAMETERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("weight", "bias"),
    nn.LayerNorm: ("bias", "weight"),
    nn.PReLU: ("weight",),
}

_PLAIN = Tensor, nn.Parameter


def _trained(module: nn.Module) -> tuple[str, ...]:
    """Name what is trained of a module; a Linear may be without biases."""
    names = _PARAMETERS.get(type(module), ())
    return names[:1] if type(module) is nn.Linear and module.bias is None else names


class Run:
    """Modules, one after another, that are computed as one."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = list(modules)
        self.holders = [(m, names) for m in modules if (names := _trained(m))]
        self.dropouts = [module for module in modules if type(module) is nn.Dropout]
        self.by_columns = any(
            (type(module) is nn.Softmax and module.dim == 1) or (type(module) is nn.PReLU and module.num_parameters > 1)
            for module in modules
        )
        self._settings = [(m, name) for m in modules for name in _SETTINGS.get(type(m), ())]
        self._set = [getattr(module, name) for module, name in self._settings]
        found = describe(modules)
        assert found is not None
        self.layers = found
        self._fused: dict[tuple[Any, ...], Fused] = {}
        self._last: Fused | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the outputs of (..., n_inputs)."""
        parameters = []
        for module, names in self.holders:
            own = module._parameters  # the way through the module's attributes takes longer
            for name in names:
                parameter = own.get(name)
                parameters.append(getattr(module, name) if parameter is None else parameter)
        random = False
        if self.dropouts:
            drops = [module.training for module in self.dropouts if module.p > 0]
            random = any(drops)
            if random and not all(drops):
                _check(x, parameters[0])
                return self._one_by_one(x)
        seed = int(torch.randint(2**62, ())) if random else None
        # Most inputs are what those before were, a plain matrix. What else they are is looked at when that has failed.
        if self._last is not None and type(x) in _PLAIN and not x.is_neg() and not self._set_anew():
            try:
                return _compute(self._last, x, parameters, seed)
            except UnfitError:
                pass
        return self._with_care(x, parameters, seed)

    def _with_care(self, x: Tensor, parameters: list[Tensor], seed: int | None) -> Tensor:
        """Compute outputs of anything that may come."""
        _check(x, parameters[0])
        shape = x.shape
        if 0 in shape or (self.by_columns and len(shape) != 2):
            return self._one_by_one(x)
        if type(x) not in _PLAIN:  # of a program that is traced
            return self.traced(x)
        self._last = self._fused_of(parameters)
        rows = x.resolve_neg().reshape(-1, shape[-1])
        out = _compute(self._last, rows, [p if p.is_contiguous() else p.contiguous() for p in parameters], seed)
        return out if len(shape) == 2 else out.reshape(*shape[:-1], out.shape[-1])

    def traced(self, x: Tensor) -> Tensor:
        """Compute the same where PyTorch traces the program: by an operator, or one by one where units are dropped."""
        if any([module.training and module.p > 0 for module in self.dropouts]) or (self.by_columns and x.ndim != 2):  # noqa: C419
            return self._one_by_one(x)
        parameters = [getattr(module, name) for module, names in self.holders for name in names]
        out: Tensor = network(x.reshape(-1, x.shape[-1]), parameters, self.layers)
        return out.reshape(*x.shape[:-1], out.shape[-1])

    def _one_by_one(self, x: Tensor) -> Tensor:
        for module in self.modules:
            x = module(x)
        return x

    def _set_anew(self) -> bool:
        """Whether a module has been given another setting."""
        return bool(self._settings) and [getattr(module, name) for module, name in self._settings] != self._set

    def _fused_of(self, parameters: Sequence[Tensor]) -> Fused:
        if self._set_anew():
            layers = describe(self.modules)
            if layers is None:
                raise ValueError("a module has been given a setting that fastmlp cannot compute: use to_sequential")
            self.layers, self._set = layers, [getattr(module, name) for module, name in self._settings]
        first = parameters[0]
        key = self.layers, first.dtype, first.shape[1], *(p.shape[0] for p in parameters if p.ndim == 2)
        found = self._fused.get(key)
        if found is None:
            for parameter in parameters:
                if parameter.device.type != "cpu" or parameter.dtype != first.dtype:
                    raise TypeError(
                        f"parameters must all be on the CPU and of one dtype, got {parameter.dtype} on "
                        f"{parameter.device} beside {first.dtype} on {first.device}"
                    )
            found = self._fused[key] = Fused(self.layers, key[2:], first.dtype)
        return found


def _compute(fused: Fused, x: Tensor, parameters: list[Tensor], seed: int | None) -> Tensor:
    """Compute outputs of rows, under autograd where somebody wants a gradient."""
    if torch.is_grad_enabled() and (x.requires_grad or any([p.requires_grad for p in parameters])):  # noqa: C419
        out: Tensor = Network.apply(fused, seed, x, *parameters)
        return out
    return fused.predict(x, parameters) if seed is None else fused.forward(x, parameters, seed)[0]


def _check(x: Tensor, weight: Tensor) -> None:
    """Refuse inputs that do not go with a layer's weight."""
    if not isinstance(x, Tensor):
        raise TypeError(f"input must be a tensor, got {type(x).__name__}")
    if x.dtype is not weight.dtype:
        raise TypeError(f"input must be {weight.dtype}, as the parameters are, got {x.dtype}")
    if x.device.type != "cpu" or weight.device.type != "cpu":
        raise RuntimeError(f"fastmlp computes on the CPU: input is on {x.device}, the parameters on {weight.device}")
    if x.layout is not torch.strided:
        raise TypeError(f"input must be a dense tensor, got the layout {x.layout}")
    if not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"input must have shape (..., {weight.shape[1]}), got {tuple(x.shape)}")


class _Holder(nn.Sequential):
    """A Sequential of which runs are computed at once; they are found anew where modules have been exchanged."""

    _parts: list[Run | nn.Module]
    _held: tuple[nn.Module, ...]

    @classmethod
    def _of(cls, modules: Mapping[str, nn.Module], training: bool) -> Self:
        """Make one that holds these modules, under their names."""
        self = cls.__new__(cls)
        nn.Module.__init__(self)
        for name, module in modules.items():
            self.add_module(name, module)
        self.training = training
        self._cut()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_parts", "_held")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._cut()

    def _cut(self) -> None:
        """Find the runs among the modules."""
        held = tuple(self._modules.values())
        self._parts, self._held = self._find(list(held)), held

    def _find(self, modules: list[nn.Module]) -> list[Run | nn.Module]:
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Sequential has for it
        """Compute the outputs, of shape (..., n_outputs)."""
        if torch.compiler.is_compiling():
            for part in self._parts:
                input = part.traced(input) if isinstance(part, Run) else part(input)  # noqa: A001
            return input
        if self._held != tuple(self._modules.values()):
            self._cut()
        for part in self._parts:
            input = part(input)  # noqa: A001
        return input


class MLP(_Holder):
    """A multi-layer perceptron: an `nn.Sequential` of Linear, activation, Linear... whose passes are fastmlp's.

    Its modules are PyTorch's own, so that parameters, ``state_dict``, ``repr``, copies and files are those of the same
    ``nn.Sequential``; they are computed all at once, which neither calls the modules' hooks nor makes a graph of them.

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, widths of the hidden layers, number of outputs.
    activation : str
        Of the hidden layers, by fastmlp's name: "relu", "tanh", "gelu", "silu", ...
    output : str
        Of the output layer; "identity" has no module.
    dropout : float
        Probability that an output of a hidden layer is dropped while ``training``: an ``nn.Dropout`` behind each. What
        is dropped follows ``torch.manual_seed``.
    norm : None or "layer"
        Whether an ``nn.LayerNorm`` follows each hidden layer's Linear, which then has no biases. An ``nn.BatchNorm1d``
        is none of these modules: its statistics are a batch's while ``training``.
    device, dtype
        Of the parameters: the CPU, float32 or float64.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Notes
    -----
    Inputs are of shape (..., n_inputs) and of the parameters' dtype. Derivatives of derivatives are refused. Between a
    forward and its backward pass parameters must not be changed in place, as everywhere in PyTorch; inputs may.
    Weights are copied into the engine's memory at every call. What is left of a small network's step is mostly
    PyTorch's own: the loss, the optimizer, autograd. What is fast is `fastmlp.MLP.fit`.

    Examples
    --------
    >>> import torch, fastmlp.torch
    >>> model = fastmlp.torch.MLP([3, 8, 2], activation="tanh")
    >>> model
    MLP(
      (0): Linear(in_features=3, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    >>> model(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        output: str = "identity",
        dropout: float = 0.0,
        device: Any = None,
        dtype: Any = None,
        norm: Literal["layer"] | None = None,
    ) -> None:
        sizes = list(sizes)
        if len(sizes) < 2 or any(type(size) is not int or size < 1 for size in sizes):
            raise ValueError(f"sizes must be two or more positive integers, got {sizes}")
        for name, value in (("activation", activation), ("output", output)):
            if value not in MODULES or (name == "activation" and value == "softmax"):
                known = ", ".join(MODULES)
                raise ValueError(f"{name} must be one of {known}, got {value!r}{did_you_mean(str(value), MODULES)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be >= 0 and < 1, got {dropout}")
        if norm not in (None, "layer"):
            raise ValueError(f"norm must be None or 'layer', got {norm!r}")
        modules: list[nn.Module] = []
        last = len(sizes) - 2
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            normed = norm is not None and layer < last
            modules.append(nn.Linear(n_in, n_out, bias=not normed, device=device, dtype=dtype))
            modules += [nn.LayerNorm(n_out, device=device, dtype=dtype)] if normed else []
            if layer < last:
                modules.append(MODULES[activation]().to(device, dtype))
                modules += [nn.Dropout(dropout)] * bool(dropout)
            elif output != "identity":
                modules.append(MODULES[output]().to(device, dtype))
        super().__init__(*modules)
        self._cut()

    def _find(self, modules: list[nn.Module]) -> list[Run | nn.Module]:
        if describe(modules) is None:
            raise ValueError(
                "modules must be Linear (with bias), activation, Dropout, again and again and without Dropout behind "
                "the last; or with LayerNorm behind each Linear but the last, which then have no bias; "
                f"got {', '.join(map(_said, modules)) or 'none'}"
            )
        return [Run(modules)]


def _said(module: nn.Module) -> str:
    """A module's name, and whether a Linear has no bias."""
    name = type(module).__name__
    return f"{name} (no bias)" if type(module) is nn.Linear and module.bias is None else name


class Accelerated(_Holder):
    """An `nn.Sequential` with other modules between the runs: the same modules under the same names."""

    def _find(self, modules: list[nn.Module]) -> list[Run | nn.Module]:
        return [Run(part) if len(part) > 1 else part[0] for part in runs_of(modules)]


def runs_of(modules: list[nn.Module]) -> list[list[nn.Module]]:
    """Cut modules into the longest runs that can be fused, and single other ones."""
    parts: list[list[nn.Module]] = []
    at = 0
    while at < len(modules):
        ends = range(len(modules), at + 1, -1) if type(modules[at]) is nn.Linear else ()
        end = next((end for end in ends if _fusible(modules[at:end])), at + 1)
        parts.append(modules[at:end])
        at = end
    return parts


def _fusible(modules: list[nn.Module]) -> bool:
    hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)
    return not hooked and describe(modules) is not None
