"""Files: named arrays in the safetensors layout, and checkpoints of networks in them, one or several."""

from fastmlp.files.checkpoint import Checkpoint
from fastmlp.files.model import load_model, parse_model, save_model
from fastmlp.files.models import load_models, save_models
from fastmlp.files.tensors import load_file, save_file

__all__ = [
    "Checkpoint",
    "load_file",
    "load_model",
    "load_models",
    "parse_model",
    "save_file",
    "save_model",
    "save_models",
]
