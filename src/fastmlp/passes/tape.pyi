from typing import Any

from fastmlp.passes.gate import Gate
from fastmlp.passes.parameters import Parameters

class Tape:
    def __init__(self, parameters: Parameters, gate: Gate, pool: list[Any]) -> None: ...
    @property
    def rows(self) -> int: ...
