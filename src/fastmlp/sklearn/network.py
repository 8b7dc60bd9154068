"""What stands between an estimator and the engine: one network, and the copies of its parameters that a user holds."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.runtime import Backend, Engine, choose_backend
from fastmlp.spec import NetworkSpec

__all__ = ["Network", "Parameters"]

Array = NDArray[Any]
Parameters = tuple[list[Array], list[Array]]  # weights, biases
SpecOf = Callable[[Sequence[int], str], NetworkSpec]


class Network:
    """An engine, made when it is needed, and the lists `coefs_` and `intercepts_` once somebody has asked for them.

    The engine has the parameters in a layout of its own. As long as nobody has asked for them nothing is copied. From
    then on the lists are the truth: arrays may be changed in place or replaced, which is found by comparing them with
    what they were when the engine last saw them; and what training changes is written into them.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.backend: Backend = choose_backend(None, stacklevel=6)
        self.spec: NetworkSpec | None = None
        self._engine: Engine | None = None
        self._lists: dict[str, list[Array]] = {}
        self._seen: list[Array] = []  # copies of the arrays in the lists, as the engine has them
        self._optimizer: tuple[str, list[Parameters]] | None = None  # of a network that came without an engine

    # ---- for the estimator's attributes -----------------------------------------------------------------------------

    def get(self, name: str) -> list[Array]:
        """The list called "coefs_" or "intercepts_"; KeyError if there are no parameters yet."""
        with self.lock:
            if not self._lists and self._engine is not None:
                weights, biases = self._engine.get_parameters()
                self._lists = {"coefs_": weights, "intercepts_": biases}
                self._seen = [array.copy() for array in (*weights, *biases)]
            return self._lists[name]

    def put(self, name: str, value: list[Array]) -> None:
        """Let the user's list take the place of one."""
        with self.lock:
            if self._engine is not None:
                self.get(name)
            self._lists[name] = value

    def has_parameters(self) -> bool:
        """Whether there are weights and biases."""
        return self._engine is not None or len(self._lists) == 2

    # ---- for training and prediction --------------------------------------------------------------------------------

    def start(self, spec: NetworkSpec, weights: list[Array], biases: list[Array]) -> None:
        """Be a new network with these parameters. Lists that were handed out belong to the old one."""
        with self.lock:
            self.spec, self._engine = spec, self.backend.engine(spec)
            self._engine.set_parameters(weights, biases)
            self._lists, self._seen, self._optimizer = {}, [], None

    def engine(self, spec_of: SpecOf) -> Engine:
        """The engine, as the lists want it; `spec_of(sizes, dtype)` says what network their arrays make."""
        if self._lists:
            self._read_lists(spec_of)
        assert self._engine is not None
        return self._engine

    def _read_lists(self, spec_of: SpecOf) -> None:
        arrays = [*self._lists["coefs_"], *self._lists["intercepts_"]]
        if self._engine is not None and len(arrays) == len(self._seen) and all(map(_same, arrays, self._seen)):
            return
        n_layers = len(self._lists["coefs_"])
        if n_layers == 0 or len(arrays) != 2 * n_layers:
            raise ValueError(f"coefs_ has {n_layers} arrays and intercepts_ {len(arrays) - n_layers}, one per layer each")
        arrays = [np.asarray(array) for array in arrays]
        weights, biases = arrays[:n_layers], arrays[n_layers:]
        for place, (W, b) in enumerate(zip(weights, biases, strict=True)):
            if W.ndim != 2 or b.shape != W.shape[1:] or (place and W.shape[0] != weights[place - 1].shape[1]):
                raise ValueError(f"coefs_[{place}] has shape {W.shape} and intercepts_[{place}] {b.shape}: they do not fit")
        sizes = [weights[0].shape[0], *(W.shape[1] for W in weights)]
        dtype = "float32" if all(array.dtype == np.float32 for array in arrays) else "float64"
        self._become(spec_of(sizes, dtype))
        assert self._engine is not None
        contiguous = [np.ascontiguousarray(array, dtype=dtype) for array in arrays]
        self._engine.set_parameters(contiguous[:n_layers], contiguous[n_layers:])
        self._seen = [array.copy() for array in arrays]

    def _become(self, spec: NetworkSpec) -> None:
        """Have an engine for `spec`, with the optimizer's state if the parameters are of the same shapes."""
        if self._engine is not None and spec == self.spec:
            return
        old, old_spec, kept = self._engine, self.spec, self._optimizer
        self.spec, self._engine, self._optimizer = spec, self.backend.engine(spec), None
        if old is not None and old_spec is not None:
            kept = None
            state = old.get_state()
            if state and (old_spec.sizes, old_spec.dtype) == (spec.sizes, spec.dtype):
                kept = ("adam" if len(state) == 2 else "sgd", state)
        if kept is not None and _shapes(kept[1]) == [tuple(pair) for pair in pairwise(spec.sizes)] * len(kept[1]):
            self._engine.use_optimizer(kept[0])
            self._engine.set_state([_as_dtype(slot, spec.dtype) for slot in kept[1]])

    def reshape(self, spec: NetworkSpec) -> None:
        """Keep the parameters, which are of the same shapes, in a network that is otherwise as `spec` says."""
        with self.lock:
            if spec != self.spec:
                assert self._engine is not None
                weights, biases = self._engine.get_parameters()
                self._become(spec)
                self._engine.set_parameters(*_as_dtype((weights, biases), spec.dtype))

    def trained(self) -> None:
        """Write what the engine has learnt into the arrays that the user holds."""
        if self._lists:
            assert self._engine is not None
            weights, biases = self._engine.get_parameters()
            self._seen = [*weights, *biases]
            for name, learnt in (("coefs_", weights), ("intercepts_", biases)):
                for place, array in enumerate(learnt):
                    held = self._lists[name][place]
                    if isinstance(held, np.ndarray) and held.dtype == array.dtype and held.flags.writeable:
                        np.copyto(held, array)
                    else:
                        self._lists[name][place] = array.copy()

    # ---- for pickles ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Parameters and optimizer state as plain arrays."""
        with self.lock:
            state: dict[str, Any] = {}
            if self._lists:
                state.update(self._lists)
            elif self._engine is not None:
                state["coefs_"], state["intercepts_"] = self._engine.get_parameters()
            slots = self._engine.get_state() if self._engine is not None else []
            if slots:
                state["_optimizer_state"] = ("adam" if len(slots) == 2 else "sgd", slots)
            elif self._optimizer is not None:
                state["_optimizer_state"] = self._optimizer
            return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Network":
        """The network of a pickle; takes its part out of `state`."""
        network = cls()
        network._lists = {name: state.pop(name) for name in ("coefs_", "intercepts_") if name in state}
        network._optimizer = state.pop("_optimizer_state", None)
        return network


def _same(array: Any, seen: Array) -> bool:
    """Whether an array is what the engine saw, to the bit (but for the sign of zero)."""
    return (
        isinstance(array, np.ndarray)
        and array.dtype == seen.dtype
        and array.shape == seen.shape
        and bool((array == seen).all())
    )


def _shapes(slots: list[Parameters]) -> list[tuple[int, ...]]:
    return [W.shape for weights, _ in slots for W in weights]


def _as_dtype(parameters: Parameters, dtype: str) -> Parameters:
    weights, biases = ([array.astype(dtype, copy=False) for array in part] for part in parameters)
    return weights, biases
