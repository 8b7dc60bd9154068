"""The C interface as Python sees it: where its header is, its capsule, and what its functions ask for in Python.

C programs call passes/capi.pyx (include/fastmlp.h), and that the functions here. Arrays are views of the C program's
memory, good for the call alone, of the right shape and dtype already.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from fastmlp.data import check_finite
from fastmlp.files import parse_model
from fastmlp.network import MLP
from fastmlp.runtime import Engine, engine_threads, get_backend, load_passes
from fastmlp.spec import Adam, Array, as_optimizer

__all__ = ["capsule", "get_include"]


def get_include() -> str:
    """Return the folder that has ``fastmlp.h``, for C, C++ and Cython programs that use fastmlp.

    Returns
    -------
    str
        What goes into ``include_dirs``. Nothing has to be linked: the header says how a program gets the table of
        functions that is in the capsule ``fastmlp._C_API``.

    Examples
    --------
    >>> import fastmlp, pathlib
    >>> pathlib.Path(fastmlp.get_include(), "fastmlp.h").exists()
    True
    """
    return str(Path(__file__).parent / "include")


@functools.cache
def capsule() -> Any:
    """Return the capsule that holds the table of functions; an ImportError where there is no compiled extension."""
    get_backend("cython")
    passes, _ = load_passes()
    assert passes is not None
    return import_module(f"{passes.__name__}.capi").capsule(import_module(__name__))


# ---- what the table's functions ask for ------------------------------------------------------------------------------


class NotFinite(ValueError):  # noqa: N818 - the name of its code
    """Numbers from C are NaN or infinite."""


class Stale(RuntimeError):  # noqa: N818
    """The parameters have changed since the forward pass."""


def create(
    sizes: list[int],
    dtype: Literal["float32", "float64"],
    seed: int | None,
    activation: str | None,
    output: str | None,
    loss: str | None,
) -> MLP:
    """Make a network; None stands for `MLP`'s default."""
    given: dict[str, Any] = {"activation": activation, "output": output, "loss": loss, "seed": seed}
    given = {name: value for name, value in given.items() if value is not None}
    return MLP(sizes, dtype=dtype, backend="cython", **given)


def load(content: memoryview) -> MLP:
    """Read a network out of the bytes of a file."""
    net = MLP.__new__(MLP)
    net._resume(parse_model(content), "cython")
    return net


def engine_of(net: object) -> Engine:
    """Return the engine of what C was given as a network."""
    if not isinstance(net, MLP):
        raise TypeError(f"mlp must be a fastmlp.MLP, got {type(net).__name__}")
    if net.backend != "cython":
        raise ValueError(f"mlp must be of the backend 'cython', got {net.backend!r}")
    return net._learner.engine


def get_parameters(net: MLP, parameters: Array) -> None:
    """Fill a vector with all parameters."""
    net.get_flat(parameters)


def set_parameters(net: MLP, parameters: Array) -> None:
    """Take all parameters from a vector."""
    _finite(parameters, "parameters")
    net.set_flat(parameters)


def predict(net: MLP, x: Array, y: Array, threads: int) -> None:
    """Fill y with the outputs for x; 0 threads are as many as it is worth."""
    _finite(x, "x")
    net._fill(y, x, engine_threads(threads or None), check=False)


def forward(net: MLP, x: Array, y: Array, training: bool, threads: int) -> Any:
    """Fill y with the outputs for x, and return the tape."""
    _finite(x, "x")
    n_threads, seed = engine_threads(threads or None), net._drawn_by(training)
    with net._access.reading("forward"):
        return net._learner.engine.forward(x, y, n_threads, seed)


def backward(net: MLP, tape: Any, dy: Array, gradient: Array | None, dx: Array | None, threads: int) -> None:
    """Pull derivatives by the outputs back to those by the parameters and by the inputs, where they are wanted."""
    _finite(dy, "dy")
    n_threads = engine_threads(threads or None)
    with net._access.reading("backward"):
        try:
            net._learner.engine.backward(tape, net._by_scaled_outputs(dy), gradient, dx, n_threads)
        except RuntimeError as error:
            if "changed" not in str(error):
                raise
            raise Stale(str(error)) from None
        if dx is not None:
            net._by_raw_inputs(dx)


def step(net: MLP, gradient: Array, optimizer: str | None, learning_rate: float, threads: int) -> None:
    """Make one update; a learning rate of 0 is the optimizer's own."""
    _finite(gradient, "gradient")
    chosen = (net._learner.optimizer or Adam()) if optimizer is None else as_optimizer(optimizer)
    if learning_rate:
        chosen = replace(chosen, learning_rate=learning_rate)  # type: ignore[call-arg]  # each optimizer has one
    net.apply_gradients(gradient, optimizer=chosen, threads=threads or None)


def _finite(array: Array, name: str) -> None:
    try:
        check_finite(array, name)
    except ValueError as error:
        raise NotFinite(str(error)) from None
