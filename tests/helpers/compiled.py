"""The compiled extension, for tests that are about nothing else: without it they are skipped."""

import pytest
from conftest import EXTENSION, REASON

__all__ = ["ISAS", "Engine"]

if EXTENSION is None:
    pytest.skip(f"the compiled extension cannot be used: {REASON}", allow_module_level=True)

Engine = EXTENSION.Engine
#: Instruction sets of this machine, the best first.
ISAS = [isa["name"] for isa in EXTENSION.isas() if isa["available"]]
