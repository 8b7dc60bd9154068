"""The network in a user's hands: it has a state, computes outputs and learns, a file for each."""

from fastmlp.network.inside import Trace
from fastmlp.network.load import from_onnx, load
from fastmlp.network.mlp import MLP

__all__ = ["MLP", "Trace", "from_onnx", "load"]
