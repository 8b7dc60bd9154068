"""``python -m fastmlp``: the command line where the script `fastmlp` is not on the path."""

import sys

from fastmlp.cli import main

if __name__ == "__main__":
    sys.exit(main())
