"""The one operation, for autograd: a plain function where Python runs the program, which costs least, and operators of
a library where it is compiled or exported.

An operator's backward pass computes the forward pass again: a graph passes tensors on, and no tapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx  # noqa: TC002

from fastmlp.torch.fused import Fused, fused_for

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Network", "network"]

_TWICE = (
    "fastmlp computes derivatives, and none of derivatives (create_graph=True): use to_sequential(model), whose "
    "modules are PyTorch's, where those are needed"
)


class Network(torch.autograd.Function):
    """A fused run of modules under autograd."""

    @staticmethod
    def forward(ctx: Any, fused: Fused, seed: int | None, x: Tensor, *parameters: Tensor) -> Tensor:
        """Compute the outputs, and keep the tape."""
        out, ctx.tape, ctx.written = fused.forward(x, list(parameters), seed)
        ctx.fused, ctx.inputs_like = fused, x.shape
        ctx.save_for_backward(*parameters)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Pull back derivatives by the outputs."""
        parameters = ctx.saved_tensors  # an error where they have changed since
        if torch.is_grad_enabled():
            raise RuntimeError(_TWICE)
        _, _, for_inputs, *needs = ctx.needs_input_grad
        gradients: list[Tensor | None] | None = None
        if all(needs):
            gradients = [torch.empty_like(p, memory_format=torch.contiguous_format) for p in parameters]
        elif any(needs):
            pairs = zip(parameters, needs, strict=True)
            gradients = [torch.empty_like(p, memory_format=torch.contiguous_format) if n else None for p, n in pairs]
        by_inputs = grad.new_empty(ctx.inputs_like) if for_inputs else None
        ctx.fused.backward(ctx.tape, grad, parameters, ctx.written, gradients, by_inputs)
        return None, None, by_inputs, *(gradients or (None,) * len(parameters))


def _widths(parameters: Sequence[Tensor]) -> list[int]:
    return [weight.shape[0] for weight in parameters if weight.ndim == 2]


def _sizes(parameters: Sequence[Tensor]) -> tuple[int, ...]:
    return parameters[0].shape[1], *_widths(parameters)


def _shared(layers: str, parameters: Sequence[Tensor]) -> Fused:
    return fused_for(layers, tuple(map(int, _sizes(parameters))), parameters[0].dtype)


def _plain(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.contiguous() for parameter in parameters]


def _cut(flat: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Cut a vector of all parameters' derivatives into one for each."""
    parts = flat.split([p.numel() for p in parameters])
    return [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]


@torch.library.custom_op("fastmlp::network", mutates_args=())
def network(x: Tensor, parameters: list[Tensor], layers: str) -> Tensor:
    """Compute a network's outputs (n, O)."""
    if not len(x):
        return x.new_empty((0, _widths(parameters)[-1]))
    return _shared(layers, parameters).predict(x, _plain(parameters))


@network.register_fake
def _(x: Tensor, parameters: list[Tensor], layers: str) -> Tensor:  # noqa: ARG001
    return x.new_empty((x.shape[0], _widths(parameters)[-1]))


@torch.library.custom_op("fastmlp::network_backward", mutates_args=())
def network_backward(
    grad: Tensor, x: Tensor, parameters: list[Tensor], layers: str, by_inputs: bool
) -> tuple[Tensor, Tensor]:
    """Compute derivatives by all parameters, in one vector, and by the inputs, (0,) where they are not wanted."""
    flat, found = x.new_zeros(sum(p.numel() for p in parameters)), x.new_empty(x.shape if by_inputs else 0)
    if len(x):
        fused, plain = _shared(layers, parameters), _plain(parameters)
        with fused.lock:
            _, tape, written = fused.forward(x, plain, None)
            gradients: list[Tensor | None] = list(_cut(flat, parameters))
            fused.backward(tape, grad, plain, written, gradients, found if by_inputs else None)
    return flat, found


@network_backward.register_fake
def _(grad: Tensor, x: Tensor, parameters: list[Tensor], layers: str, by_inputs: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return x.new_empty(sum(p.numel() for p in parameters)), x.new_empty(x.shape if by_inputs else 0)


def _keep(ctx: FunctionCtx, inputs: tuple[Tensor, list[Tensor], str], output: Tensor) -> None:  # noqa: ARG001
    x, parameters, layers = inputs
    ctx.layers = layers  # type: ignore[attr-defined, unused-ignore]
    ctx.save_for_backward(x, *parameters)


def _pull_back(ctx: Any, grad: Tensor) -> tuple[Tensor | None, list[Tensor], None]:
    x, *parameters = ctx.saved_tensors
    flat, by_inputs = network_backward(grad, x, parameters, ctx.layers, ctx.needs_input_grad[0])
    return by_inputs if ctx.needs_input_grad[0] else None, _cut(flat, parameters), None


def _refuse(ctx: Any, *grads: Tensor) -> None:  # noqa: ARG001
    raise RuntimeError(_TWICE)


network.register_autograd(_pull_back, setup_context=_keep)
network_backward.register_autograd(_refuse)
