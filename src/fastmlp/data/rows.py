"""Inputs to learn from or to evaluate on: X, y and sample weights, taken and checked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.data.inputs import as_inputs
from fastmlp.data.targets import as_targets, as_weights, leave_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.data.table import Inputs
    from fastmlp.data.values import Finite
    from fastmlp.spec import Array, NetworkSpec

__all__ = ["Data", "as_data", "as_validation", "chunk_rows", "chunks"]

# Outputs are computed in chunks of about this many elements where nobody keeps them.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Data:
    """Validated rows to learn from or to evaluate on; `weight` is float64 (n,) or None."""

    X: Inputs
    y: Array
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.X)


def as_data(
    spec: NetworkSpec,
    X: Any,
    y: Any,
    sample_weight: Any,
    names: Sequence[str] = (),
    finite: Finite | None = None,
    columns: tuple[str, ...] | None = None,
    some: bool = True,
) -> Data:
    """The three arguments as data for a network, each checked; `names` is what errors call them.

    `columns` are the names that X's columns must have, where they have any. Rows without a target weigh 0, where the
    loss takes such; `some`: one has to have a target.
    """
    X_name, y_name, weight_name = names or ("X", "y", "sample_weight")
    rows = as_inputs(X, spec.sizes[0], X_name, finite=finite, names=columns)
    targets = as_targets(y, spec.loss, spec.sizes[-1], len(rows), y_name, finite=finite)
    weight = as_weights(sample_weight, len(rows), weight_name)
    return Data(rows, *leave_out(targets, weight, spec.loss, y_name, some=some))


def as_validation(
    spec: NetworkSpec, given: Any, finite: Finite | None = None, columns: tuple[str, ...] | None = None
) -> dict[str, Data]:
    """The argument ``validation_data`` as data for a network, by name: "val" where it is one set; none for None."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return {"val": _validation_set(spec, given, "validation_data", finite, columns)}
    for name in given:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"validation_data has the name {name!r:.80}; it must be a str such as 'val' or 'test'")
    return {
        name: _validation_set(spec, each, f"validation_data[{name!r}]", finite, columns) for name, each in given.items()
    }


def _validation_set(
    spec: NetworkSpec, given: Any, called: str, finite: Finite | None, columns: tuple[str, ...] | None
) -> Data:
    if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
        what = f"{len(given)} of them" if isinstance(given, tuple | list) else type(given).__name__
        raise TypeError(f"{called} must be (X, y) or (X, y, sample_weight), got {what}")
    X, y, *weight = given
    names = [f"{called}[{place}]" for place in range(3)]
    return as_data(spec, X, y, weight[0] if weight else None, names, finite, columns)


def chunk_rows(n_columns: int) -> int:
    """Return the number of rows, of so many numbers each, that a bounded buffer holds."""
    return max(1, CHUNK // n_columns)


def chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows whose `n_columns` numbers each fit a bounded buffer."""
    rows = chunk_rows(n_columns)
    return (slice(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows))
