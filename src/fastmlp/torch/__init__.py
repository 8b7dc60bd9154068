"""A network of PyTorch whose forward and backward pass are one operation each, fastmlp's.

>>> import torch
>>> import fastmlp.torch
>>> model = fastmlp.torch.MLP([8, 64, 64, 4], activation="tanh")
>>> optimizer = torch.optim.Adam(model.parameters())
>>> loss = torch.nn.functional.mse_loss(model(torch.rand(32, 8)), torch.zeros(32, 4))
>>> loss.backward()
>>> optimizer.step()
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as _error:
    raise ImportError("fastmlp.torch needs PyTorch: pip install 'fastmlp[torch]'") from _error

from fastmlp.torch.convert import accelerate, from_sequential, to_sequential
from fastmlp.torch.modules import MLP

__all__ = ["MLP", "accelerate", "from_sequential", "to_sequential"]
