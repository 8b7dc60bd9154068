from typing import Self

from fastmlp.passes.parameters import Parameters

class Directions:
    def __new__(cls, parameters: Parameters) -> Self: ...
