"""Files: named arrays in the safetensors layout, and trained networks in them."""

from fastmlp.files.model import ModelFile, load_model, save_model
from fastmlp.files.tensors import load_file, save_file

__all__ = ["ModelFile", "load_file", "load_model", "save_file", "save_model"]
