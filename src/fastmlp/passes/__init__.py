"""The compiled backend: Cython passes over the C kernels. Mirror: fastmlp.reference."""

from fastmlp.passes import probes
from fastmlp.passes.engine import Engine, permutation
from fastmlp.passes.kernels import bfloat16_of, default_isa, isas
from fastmlp.passes.sweep import finite
from fastmlp.passes.threads import kinds_of_workers, max_threads, openmp, processors, use_workers, workers

try:
    from fastmlp import _build_config

    compiler = _build_config.COMPILER
except ImportError:  # built by hand, without setup.py
    compiler = "unknown"

__all__ = [
    "Engine",
    "bfloat16_of",
    "compiler",
    "default_isa",
    "finite",
    "isas",
    "kinds_of_workers",
    "max_threads",
    "openmp",
    "permutation",
    "probes",
    "processors",
    "use_workers",
    "workers",
]
