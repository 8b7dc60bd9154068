from typing import Any

from numpy.typing import NDArray

from fastmlp.passes.parameters import Parameters

class Inputs:
    def __init__(
        self,
        parameters: Parameters,
        X: NDArray[Any],
        y: NDArray[Any] | None,
        weight: NDArray[Any] | None,
        order: NDArray[Any] | None,
    ) -> None: ...
