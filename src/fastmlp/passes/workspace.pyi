from typing import Self

from fastmlp.passes.parameters import Parameters

class Buffers:
    def __new__(cls, parameters: Parameters, capacity: int, purpose: int) -> Self: ...
