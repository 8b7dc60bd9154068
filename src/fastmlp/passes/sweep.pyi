from typing import Any

from numpy.typing import NDArray

def finite(array: NDArray[Any], threads: int = 1) -> bool: ...
