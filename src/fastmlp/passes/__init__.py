"""The compiled backend: Cython passes over the C kernels. Mirror: fastmlp.reference."""

from fastmlp.passes.epoch import Engine, permutation
from fastmlp.passes.kernels import default_isa, finite, isas
from fastmlp.passes.threads import max_threads, openmp

__all__ = ["Engine", "default_isa", "finite", "isas", "max_threads", "openmp", "permutation"]
