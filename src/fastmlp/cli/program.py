"""The program: arguments in, the command's work, its exit code out; errors told in a line."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fastmlp.cli import bench, demo, evaluate, export, info, predict, show, train
from fastmlp.cli.exits import FAILED, INTERRUPTED
from fastmlp.cli.text import complain
from fastmlp.runtime import VERSION
from fastmlp.train.safety import TrainingDiverged

__all__ = ["main"]

COMMANDS = train, predict, evaluate, show, export, bench, demo, info


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        Exit code: 0, 2 after an error (told in one line on stderr), 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        From argparse: with 0 after ``--help`` and ``--version``, with 2 after arguments that are wrong.
    """
    parser = _parser()
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                return _obey(parser, arguments)
        finally:
            sys.stdout.flush()  # here, where a failure can still be told
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as in `fastmlp info | head -1`: nobody is left to tell
        _forget_output()
    except (ImportError, MemoryError, OSError, TrainingDiverged, TypeError, ValueError) as error:
        if isinstance(error, OSError):
            _forget_output()
        complain(f"{parser.prog}: error: {str(error) or type(error).__name__}")
    return FAILED


def _obey(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Do what the arguments say, and return the exit code."""
    _complete(parser)
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help(sys.stderr)
        return FAILED
    report: dict[str, Any] = given.gather(given)
    if given.json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        given.show(report)
    return INTERRUPTED if report.get("interrupted") else 0


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Tell what some part of the work warns of as errors are told: in a line, not with a place in a source."""
    complain(f"fastmlp: warning: {message}")


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a word goes on, where argcomplete is installed, and end; else do nothing."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def _forget_output() -> None:
    """Keep Python from trying again, when it ends, what could not be written to standard output."""
    with suppress(AttributeError, OSError, ValueError):  # closed, or not a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastmlp", description="Multi-layer perceptrons on CPUs, trained as fast as the machine allows."
    )
    parser.add_argument("--version", action="version", version=f"fastmlp {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for command in COMMANDS:
        command.add(commands)
    return parser
