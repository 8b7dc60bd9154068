"""What the values of options are: functions for argparse, whose errors say what was wanted."""

import argparse
import csv
import math
from collections.abc import Callable
from typing import Any

__all__ = ["add_encoding", "add_json", "described", "duration", "fraction", "names", "number", "sizes", "whole"]


def described(commands: Any, name: str, what: str, examples: str) -> argparse.ArgumentParser:
    """Add a command whose help ends with examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what argparse is to call with a number's text: it makes an int of it, or an error that says the range."""
    wanted = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text!r}")
        return value

    return parse


def number(text: str) -> float:
    """Make a number > 0 of a text."""
    return _between(text, 0.0, math.inf, "a number > 0")


def fraction(text: str) -> float:
    """Make a share of a text."""
    return 0.0 if text == "0" else _between(text, 0.0, 1.0, "a number from 0 to below 1")


def duration(text: str) -> float:
    """Make seconds of a text: 90, 60s, 5m or 1h."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    plain, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        return _between(plain, 0.0, math.inf, "") * unit
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be a time such as 90, 60s, 5m or 1h, got {text!r}") from None


def sizes(text: str) -> tuple[int, ...]:
    """Make widths of layers of a text: 256,128."""
    try:
        found = tuple(int(each) for each in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"must be units of layers such as 256,128, got {text!r}")
    return found


def names(text: str) -> tuple[str, ...]:
    """Make names of columns of a text; such with a comma in them are in quotes, as in CSV."""
    return tuple(next(csv.reader([text], skipinitialspace=True), []))


def _between(text: str, low: float, high: float, wanted: str) -> float:
    """Make a number of a text that lies between two, and is neither."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low < value < high:
        raise argparse.ArgumentTypeError(f"must be {wanted}, got {text!r}")
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, which all commands have."""
    parser.add_argument("--json", action="store_true", help="print a JSON object, and nothing else, on stdout")


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Add `--encoding`, which all commands have that read tables."""
    parser.add_argument("--encoding", help="of text files, such as cp1252 (default: utf-8)")
