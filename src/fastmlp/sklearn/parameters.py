"""`coefs_` and `intercepts_`: the parameters that an engine and the user of an estimator share."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fastmlp.access import Access
from fastmlp.runtime import Backend, Engine, choose_backend, optimizer_state, set_optimizer_state
from fastmlp.spec import Array, NetworkSpec, name_tensors, weights_and_biases

__all__ = ["LayerArrays", "ParameterAttributes", "SharedParameters"]
LayerArrays = tuple[list[Array], list[Array]]  # weights, biases
SpecOf = Callable[[Sequence[int], str], NetworkSpec]


class SharedParameters:
    """Parameters in an engine, and in the lists `coefs_` and `intercepts_` once somebody has asked for them.

    The engine has the parameters in a layout of its own. As long as nobody has asked for them nothing is copied. From
    then on the lists are the truth: arrays may be changed in place or replaced, which is found by comparing them with
    what they were when the engine last saw them; and what training changes is written into them.
    """

    def __init__(self) -> None:
        self.access = Access()
        self.backend: Backend = choose_backend(None, stacklevel=6)
        self.spec: NetworkSpec | None = None
        self.n_parameters = 0
        # What of the estimator's parameters the spec was made of, with the engine and the spec.
        self._known: tuple[Any, tuple[Engine, NetworkSpec]] | None = None
        self.training_key: Any = None  # those that only training depends on, where the spec has been made of them
        self.optimizer: str | None = None  # of which the engine has the state
        self._engine: Engine | None = None
        self._lists: dict[str, list[Array]] = {}
        self._seen: list[Array] = []  # copies of the arrays in the lists, as the engine has them
        self._state: tuple[str, list[LayerArrays]] | None = None  # of the optimizer, until there is an engine

    # ---- for the estimator's attributes -----------------------------------------------------------------------------

    def get(self, name: str) -> list[Array]:
        """Return the list called "coefs_" or "intercepts_"; KeyError if there are no parameters yet."""
        with self.access.reading(name):
            if not self._lists and self._engine is not None:
                weights, biases = weights_and_biases(self._engine.read())
                self._lists = {"coefs_": weights, "intercepts_": biases}
                self._seen = [array.copy() for array in (*weights, *biases)]
            return self._lists[name]

    def put(self, name: str, value: Sequence[Array]) -> None:
        """Replace a list by the user's, or by a list of the items of their sequence."""
        with self.access.setting(f"{name} ="):
            if self._engine is not None:
                self.get(name)
            self._lists[name] = _as_list(value, name)

    def has_parameters(self) -> bool:
        """Return whether there are weights and biases."""
        return self._engine is not None or len(self._lists) == 2

    # ---- for training and prediction --------------------------------------------------------------------------------

    def start(self, spec: NetworkSpec, weights: list[Array], biases: list[Array]) -> None:
        """Begin a new network with these parameters. Lists that were handed out belong to the old one."""
        with self.access.reading("start"):
            self._lists, self._seen, self._state, self.optimizer = {}, [], None, None
            self._make_engine(spec).write(name_tensors(weights, biases))

    def _make_engine(self, spec: NetworkSpec) -> Engine:
        self._engine, self._known = self.backend.engine(spec), None
        self.access.engine = self._engine
        self.spec, self.n_parameters, self.optimizer = spec, spec.n_parameters, None
        return self._engine

    def use_optimizer(self, name: str) -> None:
        """Begin with an optimizer's zeroed state."""
        assert self._engine is not None
        self._engine.use_optimizer(name)
        self.optimizer = name

    def current(self, key: Any) -> tuple[Engine, NetworkSpec] | None:
        """Return engine and network without taking the lock; None where they may have to be made anew.

        They stand if they are of these parameters of the estimator, and no lists have been handed out that somebody may
        have changed.
        """
        known = self._known
        return None if self._lists or known is None or known[0] != key else known[1]

    def both(self) -> tuple[Engine, NetworkSpec]:
        """Return engine and network as they are after a call of `engine`."""
        assert self._engine is not None
        assert self.spec is not None
        return self._engine, self.spec

    @property
    def key(self) -> Any:
        """The parameters of the estimator that the engine's network was made of."""
        return None if self._known is None else self._known[0]

    @key.setter
    def key(self, key: Any) -> None:
        self._known = key, self.both()

    def engine(self, spec_of: SpecOf) -> Engine:
        """Return the engine with the lists' arrays in it; `spec_of(sizes, dtype)` is the network that they make."""
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
            raise ValueError(
                f"coefs_ has {n_layers} arrays and intercepts_ {len(arrays) - n_layers}, one per layer each"
            )
        for name in ("coefs_", "intercepts_"):  # a user may have put lists of numbers there
            self._lists[name][:] = [np.asarray(array) for array in self._lists[name]]
        arrays = [*self._lists["coefs_"], *self._lists["intercepts_"]]
        weights, biases = arrays[:n_layers], arrays[n_layers:]
        for place, (W, b) in enumerate(zip(weights, biases, strict=True)):
            if W.ndim != 2 or b.shape != W.shape[1:] or (place and W.shape[0] != weights[place - 1].shape[1]):
                raise ValueError(
                    f"coefs_[{place}] has shape {W.shape} and intercepts_[{place}] {b.shape}: they do not fit"
                )
        sizes = [weights[0].shape[0], *(W.shape[1] for W in weights)]
        dtype = "float32" if all(array.dtype == np.float32 for array in arrays) else "float64"
        self._become(spec_of(sizes, dtype))
        assert self._engine is not None
        contiguous = [np.ascontiguousarray(array, dtype=dtype) for array in arrays]
        self._engine.write(name_tensors(contiguous[:n_layers], contiguous[n_layers:]))
        self._seen = [array.copy() for array in arrays]

    def _become(self, spec: NetworkSpec) -> None:
        """Make an engine for `spec`, with the optimizer's state if its shapes fit; it has no parameters yet."""
        if self._engine is not None and spec == self.spec:
            return
        state, self._state = self._optimizer_state(), None
        engine = self._make_engine(spec)
        if state is None:
            return
        name, slots = state
        shapes = [tuple(pair) for pair in pairwise(spec.sizes)]
        if all([W.shape for W in weights] == shapes for weights, _ in slots):
            self.use_optimizer(name)
            set_optimizer_state(engine, [_as_dtype(slot, spec.dtype) for slot in slots])

    def _optimizer_state(self) -> tuple[str, list[LayerArrays]] | None:
        if self._engine is None:
            return self._state
        return None if self.optimizer is None else (self.optimizer, optimizer_state(self._engine))

    def reshape(self, spec: NetworkSpec) -> None:
        """Move the parameters to a network of the same sizes that is otherwise as `spec` says."""
        with self.access.reading("reshape"):
            if spec != self.spec:
                assert self._engine is not None
                tensors = self._engine.read()
                self._become(spec)
                self._engine.write({name: array.astype(spec.dtype, copy=False) for name, array in tensors.items()})

    def trained(self) -> None:
        """Write what the engine has learnt into the arrays that the user holds."""
        if self._lists:
            assert self._engine is not None
            weights, biases = weights_and_biases(self._engine.read())
            self._seen = [*weights, *biases]
            for name, learnt in (("coefs_", weights), ("intercepts_", biases)):
                for place, array in enumerate(learnt):
                    held = self._lists[name][place]
                    if held.dtype == array.dtype and held.flags.writeable:
                        np.copyto(held, array)
                    else:
                        self._lists[name][place] = array.copy()

    def is_finite_array(self, X: Array) -> bool:
        """Return whether all of a 2-D float array is finite, by the backend's kernel if it has one."""
        return bool(self.backend.finite(X) if self.backend.finite is not None else np.isfinite(X).all())

    # ---- for pickles ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return parameters and optimizer state as plain arrays."""
        with self.access.reading("pickle"):
            state: dict[str, Any] = {}
            if self._lists:
                state.update(self._lists)
            elif self._engine is not None:
                state["coefs_"], state["intercepts_"] = weights_and_biases(self._engine.read())
            optimizer = self._optimizer_state()
            if optimizer is not None:
                state["_optimizer_state"] = optimizer
            return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "SharedParameters":
        """Make the parameters of a pickle; takes their part out of `state`."""
        network = cls()
        network.adopt(state.pop("coefs_", None), state.pop("intercepts_", None), state.pop("_optimizer_state", None))
        return network

    def adopt(
        self, weights: list[Array] | None, biases: list[Array] | None, state: tuple[str, list[LayerArrays]] | None
    ) -> None:
        """Take parameters, and an optimizer's state by its name, from elsewhere; the engine is made when needed."""
        lists = {"coefs_": weights, "intercepts_": biases}
        self._lists = {name: _as_list(arrays, name) for name, arrays in lists.items() if arrays is not None}
        self._engine = self.access.engine = self._known = None
        self._seen, self._state = [], state


class ParameterAttributes(BaseEstimator):  # type: ignore[misc]
    """The part of an estimator that shows its parameters, and that pickles them."""

    _shared: SharedParameters  # from the first fit, or the first that is set

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, (n_in, n_out) for each layer. They may be changed in place or replaced."""
        return self._list_of("coefs_")

    @coefs_.setter
    def coefs_(self, value: list[Array]) -> None:
        self._own_parameters().put("coefs_", value)

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, (n_out,) for each layer."""
        return self._list_of("intercepts_")

    @intercepts_.setter
    def intercepts_(self, value: list[Array]) -> None:
        self._own_parameters().put("intercepts_", value)

    def _list_of(self, name: str) -> list[Array]:
        try:
            return self._shared.get(name)
        except (AttributeError, KeyError):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def _own_parameters(self) -> SharedParameters:
        if "_shared" not in self.__dict__:
            self._shared = SharedParameters()
        return self._shared

    def _has_parameters(self) -> bool:
        return "_shared" in self.__dict__ and self._shared.has_parameters()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        shared = state.pop("_shared", None)
        return state if shared is None else {**state, **shared.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "coefs_" in state:
            state["_shared"] = SharedParameters.from_state(state)
        super().__setstate__(state)


def _as_list(value: Any, name: str) -> list[Array]:
    """Return a list as it is, so that it stays the user's own, and the items of another sequence as a new list."""
    if isinstance(value, list):
        return value
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{name} must be a list of arrays, got {value!r:.80} ({type(value).__name__})") from None


def _same(array: Any, seen: Array) -> bool:
    """Return whether an array is what the engine saw, to the bit (but for the sign of zero)."""
    return (
        isinstance(array, np.ndarray)
        and array.dtype == seen.dtype
        and array.shape == seen.shape
        and bool((array == seen).all())
    )


def _as_dtype(parameters: LayerArrays, dtype: str) -> LayerArrays:
    weights, biases = ([array.astype(dtype, copy=False) for array in part] for part in parameters)
    return weights, biases
