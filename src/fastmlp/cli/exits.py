"""Exit codes of the program, and the reports of its commands."""

from typing import Any, Final, TypeAlias

__all__ = ["FAILED", "INTERRUPTED", "Report"]

Report: TypeAlias = dict[str, Any]
"""What a command has found, as it becomes JSON."""

FAILED: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
