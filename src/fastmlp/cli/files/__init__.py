"""Tables as the command line reads and writes them."""

from fastmlp.cli.files.reading import TARGET, read_table, read_with_target
from fastmlp.cli.files.table import FileTable, Kind, gaps, kind_of, label_of

__all__ = ["TARGET", "FileTable", "Kind", "gaps", "kind_of", "label_of", "read_table", "read_with_target"]
