"""The models that the command line trains, reads and writes."""

from fastmlp.cli.models.base import Model, as_targets
from fastmlp.cli.models.opening import open_model

__all__ = ["Model", "as_targets", "open_model"]
