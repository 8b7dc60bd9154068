"""The compiled engine and the NumPy one with the same parameters, and what counts as the same answer."""

import numpy as np
from compiled import Engine
from random_networks import fill

from fastmlp import reference

CLOSE = {"float64": {"rtol": 1e-11, "atol": 1e-13}, "float32": {"rtol": 2e-4, "atol": 2e-5}}


def pair(spec, seed=0):
    """A compiled and a NumPy engine with the same parameters."""
    return fill(Engine(spec), spec, seed), fill(reference.Engine(spec), spec, seed)


def assert_lists_close(got, wanted, **tolerance):
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, **tolerance)
