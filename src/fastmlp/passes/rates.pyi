from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

def arrays(what: str, name: str, labels: bool = False) -> int: ...
def kernel_seconds(
    what: str,
    name: str,
    memory: NDArray[Any],
    isa: str | None = None,
    *,
    rows: int,
    columns: int,
    passes: int = 1,
    numbers: Sequence[float] = (),
    labels: bool = False,
) -> float: ...
def gather_seconds(
    X: NDArray[Any],
    order: NDArray[Any],
    block: NDArray[Any],
    isa: str | None = None,
    *,
    rows: int,
    ahead: int = 0,
    passes: int = 1,
) -> float: ...
