"""What the values of options are: functions for argparse, whose errors say what was wanted."""

import argparse
from collections.abc import Callable

__all__ = ["add_json", "whole"]


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


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, which all commands have."""
    parser.add_argument("--json", action="store_true", help="print a JSON object, and nothing else, on stdout")
