"""The command line: `fastmlp demo`, `fastmlp info` and the others, a file each.

A command gathers a report, a dict; `--json` prints that, and otherwise it is laid out as text.
"""

from fastmlp.cli.program import main
from fastmlp.cli.text import table

__all__ = ["main", "table"]
