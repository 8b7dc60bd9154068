import numpy as np
from numpy.typing import NDArray

from fastmlp.passes.gate import Gate
from fastmlp.passes.parameters import Parameters
from fastmlp.passes.rows import Inputs

class Call:
    @property
    def weight_sums(self) -> NDArray[np.float64]: ...
    def __init__(self, parameters: Parameters, gate: Gate, inputs: Inputs, batch_size: int, counts: bool) -> None: ...
