"""Where the sources are that an installed package is without: beside tests/, or, of a copy, where FASTMLP_CSRC says."""

import os
from pathlib import Path

CSRC = Path(os.environ.get("FASTMLP_CSRC", Path(__file__).parents[2] / "csrc")).resolve()
ROOT = CSRC.parent
PACKAGE = ROOT / "src" / "fastmlp"
PASSES = PACKAGE / "passes"
