"""The network that an estimator's parameters describe, and its outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmlp.data import SOURCE_DTYPES, as_source
from fastmlp.runtime import engine_threads
from fastmlp.sklearn.compat import InvalidParameterError
from fastmlp.sklearn.parameters import ParameterAttributes
from fastmlp.sklearn.sparse import predict_rows
from fastmlp.sklearn.validation import as_rows, validate_features
from fastmlp.spec import (
    Activation,
    Array,
    BinaryCrossEntropy,
    CrossEntropy,
    NetworkSpec,
    as_loss,
    loss_of_output,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.runtime import Engine

__all__ = ["NetworkOutputs"]

#: Parameters of an estimator that are its network's, and matter in training alone.
TRAINING = ("dropout", "input_dropout", "input_noise", "l1", "max_norm")

# Below so many multiply-adds one thread does it, and nobody asks how many there are.
ONE_THREAD = 1 << 18


class NetworkOutputs(ParameterAttributes):
    """The part of an estimator that has an engine for its network, and computes outputs with it."""

    out_activation_: str

    def _spec(self, sizes: Sequence[int], dtype: str, output: str | None = None) -> NetworkSpec:
        """Return the network of these sizes that the estimator's parameters describe, with its output or another."""
        activation, output = self.activation, output or self.out_activation_
        if not isinstance(activation, str | Activation) and len(activation) != len(sizes) - 2:
            raise InvalidParameterError(
                f"activation must be one for all or one per hidden layer ({len(sizes) - 2}), got {activation!r}"
            )
        if self.loss == "log_loss":
            loss = loss_of_output(output)  # scikit-learn reports that of clipped probabilities
            assert isinstance(loss, CrossEntropy | BinaryCrossEntropy)
            loss = replace(loss, clip=float(np.finfo(dtype).eps))
        else:
            loss = as_loss(self.loss)
        training = dict(zip(TRAINING, self._training_key(), strict=True))
        spec = NetworkSpec.make(sizes, activation, output, loss, dtype, residual=self.residual, **training)
        if any(layer.activation.vectors(layer.n_out) or layer.n_signals > layer.n_out for layer in spec.layers):
            raise InvalidParameterError(
                f"activation must be one that learns no slopes and has no pieces, which coefs_ and intercepts_ have no "
                f"place for, got {activation!r}"
            )
        return spec

    def _spec_key(self) -> tuple[Any, ...]:
        """Return everything of `_spec` that predictions depend on, beside sizes and dtype."""
        return self.activation, self.out_activation_, self.loss, self.residual

    def _training_key(self) -> tuple[Any, ...]:
        """Return the rest, which is for training alone."""
        return tuple([getattr(self, name) for name in TRAINING])

    def _engine(self, training: bool = False) -> Engine:
        """Return the engine with the parameters as they are now. The caller holds the network's lock."""
        shared = self._shared
        engine = shared.engine(self._spec)
        key = self._spec_key()
        if shared.key != key or (training and shared.training_key != self._training_key()):
            spec = shared.both()[1]
            shared.reshape(self._spec(spec.sizes, spec.dtype))
            self._keep_keys()
            engine = shared.engine(self._spec)
        return engine

    def _keep_keys(self) -> None:
        """Note that the engine's network is that of the estimator's parameters as they are now."""
        self._shared.key, self._shared.training_key = self._spec_key(), self._training_key()

    def _network_dtype(self) -> str:
        return self._shared.both()[1].dtype

    def _outputs(self, X: Any) -> Array:
        """Check X, and compute the network's outputs (n, n_outputs) for it."""
        shared = self.__dict__.get("_shared")
        if (
            type(X) is np.ndarray
            and X.ndim == 2
            and shared is not None
            and X.dtype in SOURCE_DTYPES
            and "feature_names_in_" not in self.__dict__
            and X.shape[1] == self.__dict__.get("n_features_in_")
            and X.shape[0]
            and (X.dtype.kind != "f" or shared.is_finite_array(X))
        ):
            rows = as_source(X)  # what validate_data would say takes longer than the network
        else:
            check_is_fitted(self)
            rows = as_rows(validate_features(self, X))
        return self._predict_rows(rows)

    def _predict_rows(self, rows: Any) -> Array:
        shared = self._shared
        current = shared.current(self._spec_key())
        if current is None:
            with shared.access.reading("predict"):
                self._engine()
                current = shared.both()
        engine, spec = current
        outputs = np.empty((rows.shape[0], spec.sizes[-1]), spec.dtype)
        small = rows.shape[0] * shared.n_parameters <= ONE_THREAD
        threads = 1 if small else engine_threads(self.n_threads)
        if not predict_rows(engine, rows, outputs, threads):
            # Side by side with other predictions, but not with training.
            with shared.access.reading("predict"):
                if not predict_rows(self._engine(), rows, outputs, threads):
                    raise RuntimeError("predict was called while other code changes this estimator's engine")
        return outputs
