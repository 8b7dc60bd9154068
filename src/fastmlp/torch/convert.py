"""Between PyTorch's `nn.Sequential` and its fused sisters, which hold the same modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from fastmlp.torch.modules import MLP, Accelerated, runs_of

__all__ = ["accelerate", "from_sequential", "to_sequential"]


def from_sequential(module: nn.Sequential) -> MLP:
    """Make an `MLP` of an ``nn.Sequential`` of Linear, LayerNorm and activation modules; it holds the same ones.

    Raises
    ------
    TypeError, ValueError
        If it is no ``nn.Sequential``, or has other modules.

    Examples
    --------
    >>> from torch import nn
    >>> import fastmlp.torch
    >>> plain = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 2))
    >>> fused = fastmlp.torch.from_sequential(plain)
    >>> fused[0] is plain[0], list(fused.state_dict()) == list(plain.state_dict())
    (True, True)
    """
    if not isinstance(module, nn.Sequential):
        raise TypeError(f"module must be an nn.Sequential, got {type(module).__name__}")
    return MLP._of(module._modules, module.training)


def to_sequential(module: nn.Sequential) -> nn.Sequential:
    """Make a plain ``nn.Sequential`` that holds the same modules: PyTorch computes them one by one.

    Examples
    --------
    >>> import fastmlp.torch
    >>> type(fastmlp.torch.to_sequential(fastmlp.torch.MLP([3, 8, 2]))).__name__
    'Sequential'
    """
    if not isinstance(module, nn.Sequential):
        raise TypeError(f"module must be a fastmlp.torch.MLP, got {type(module).__name__}")
    made = nn.Sequential(OrderedDict(module._modules))
    made.training = module.training
    return made


def accelerate(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """Let fastmlp compute runs of Linear, LayerNorm, activation and Dropout in every ``nn.Sequential`` of any module.

    Parameters, their names and those of all modules stay; in `module` each such ``nn.Sequential`` is exchanged for one
    that holds the same modules. Runs with hooks are left, and so is what does not stand in an ``nn.Sequential``.

    Returns
    -------
    module : nn.Module
        The same, or another one where it is such an ``nn.Sequential`` itself.
    replaced : list of str
        What is fused: for each run a line with its place and modules.

    Examples
    --------
    >>> from torch import nn
    >>> import fastmlp.torch
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model, replaced = fastmlp.torch.accelerate(model)
    >>> replaced
    ['1 to 3: Linear(4, 8), ReLU, Linear(8, 2)']
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be an nn.Module, got {type(module).__name__}")
    replaced: list[str] = []
    return _accelerated(module, "", replaced, {}), replaced


def _accelerated(module: nn.Module, place: str, replaced: list[str], seen: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in seen:
        return seen[module]
    seen[module] = made = module
    parts = runs_of(list(module._modules.values())) if type(module) is nn.Sequential else []
    fused = [part for part in parts if len(part) > 1]
    if fused:
        kind = MLP if len(parts) == 1 else Accelerated
        seen[module] = made = kind._of(module._modules, module.training)
        names, at = list(module._modules), 0
        for part in parts:
            ends = f"{place}{names[at]} to {names[at + len(part) - 1]}"
            replaced += [f"{ends}: {', '.join(map(_named, part))}"] * (len(part) > 1)
            at += len(part)
    for name, child in list(made._modules.items()):
        if child is not None:
            new = _accelerated(child, f"{place}{name}.", replaced, seen)
            if new is not child:
                setattr(made, name, new)
    return made


def _named(module: nn.Module) -> str:
    if isinstance(module, nn.Linear):
        return f"Linear({module.in_features}, {module.out_features})"
    return type(module).__name__
