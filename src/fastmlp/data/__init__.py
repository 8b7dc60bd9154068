"""What a user may pass as X, y and weights, checked: arrays that the engine reads where they lie."""

from fastmlp.data.arrays import SOURCE_DTYPES, as_inputs, as_real, as_source
from fastmlp.data.targets import as_targets, as_weights, count_classes
from fastmlp.data.values import Finite, check_finite, refuse_overflow

__all__ = [
    "SOURCE_DTYPES",
    "Finite",
    "as_inputs",
    "as_real",
    "as_source",
    "as_targets",
    "as_weights",
    "check_finite",
    "count_classes",
    "refuse_overflow",
]
