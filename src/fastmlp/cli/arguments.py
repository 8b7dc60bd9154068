"""What the values of options are: functions for argparse, whose errors say what was wanted."""

import argparse
from collections.abc import Callable
from typing import Any

__all__ = ["add_encoding", "add_json", "described", "whole"]


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


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, which all commands have."""
    parser.add_argument("--json", action="store_true", help="print a JSON object, and nothing else, on stdout")


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Add `--encoding`, which all commands have that read tables."""
    parser.add_argument("--encoding", help="of text files, such as cp1252 (default: utf-8)")
