from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastmlp.passes.gate import Gate
from fastmlp.passes.parameters import Parameters
from fastmlp.passes.rows import Inputs

class Call:
    @property
    def weight_sums(self) -> NDArray[np.float64]: ...
    def __init__(
        self,
        parameters: Parameters,
        gate: Gate,
        inputs: Inputs,
        batch_size: int,
        counts: bool,
        at_loss: Callable[..., None] | None = None,
        at_gradient: Callable[..., None] | None = None,
    ) -> None: ...
    def _show_gradient(self, step: int, start: int, rows: int) -> bool: ...
    def _show_loss(self, step: int, start: int, rows: int) -> bool: ...
