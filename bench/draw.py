"""The picture in README.md and docs, from a report that peers.py has written.

    python bench/draw.py bench/results/peers-7b55bcf.json docs/peers.png

Needs matplotlib.
"""

import argparse
import json
from pathlib import Path

from _peers.report import draw_training


def main() -> None:
    """Read, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("report", type=Path, help="what peers.py wrote, by --json or in build/bench")
    parser.add_argument("png", type=Path, help="where to draw it")
    options = parser.parse_args()
    draw_training(options.png, json.loads(options.report.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
