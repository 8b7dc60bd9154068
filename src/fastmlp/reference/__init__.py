"""The algorithm in NumPy, file by file beside `passes/`: oracle, fallback, documentation and benchmark rival."""

from typing import TYPE_CHECKING, Any

from fastmlp.reference.random import permutation

if TYPE_CHECKING:
    from fastmlp.reference.engine import Engine

__all__ = ["Engine", "permutation"]


def __getattr__(name: str) -> Any:
    """Import the engine when it is asked for: who has the compiled one needs the random numbers alone."""
    if name == "Engine":
        from fastmlp.reference.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
