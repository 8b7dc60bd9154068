"""fastmlp in the place of scikit-learn's MLP, for programs that are not to be changed.

In a program: ``fastmlp.patch_sklearn()`` before it imports scikit-learn's classes. Around one:
``python -m fastmlp.patch script.py arguments``, or ``python -m fastmlp.patch -m module arguments``.
"""

import argparse
import runpy
import sys
from pathlib import Path

__all__ = ["patch_sklearn", "unpatch_sklearn"]


def patch_sklearn() -> bool:
    """Let ``from sklearn.neural_network import MLPClassifier, MLPRegressor`` give fastmlp's classes.

    Names that were imported before keep what they are. Estimators with parameters that only scikit-learn knows, and
    subclasses that override or call its private methods, are scikit-learn's as before, with one warning.

    Returns
    -------
    bool
        Whether it was done; False, with a warning, if the compiled extension cannot be used, because NumPy would be no
        faster.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from fastmlp.patch import patch_sklearn, unpatch_sklearn
    >>> if patch_sklearn():
    ...     from sklearn.neural_network import MLPClassifier
    ...
    ...     assert MLPClassifier.__module__ == "fastmlp.sklearn.patched"
    >>> unpatch_sklearn()
    """
    from fastmlp.sklearn import patched

    return patched.install()


def unpatch_sklearn() -> None:
    """Give scikit-learn its own classes back. Estimators made in between stay fastmlp's.

    Examples
    --------
    >>> import fastmlp
    >>> patched = fastmlp.patch_sklearn()
    >>> fastmlp.unpatch_sklearn()
    >>> from sklearn.neural_network import MLPClassifier
    >>> MLPClassifier.__module__.startswith("sklearn")
    True
    """
    if "fastmlp.sklearn.patched" in sys.modules:
        from fastmlp.sklearn import patched

        patched.uninstall()


def main(arguments: list[str] | None = None) -> None:
    """Run a script or module with scikit-learn patched, as ``python script.py`` would run it."""
    parser = argparse.ArgumentParser(
        prog="python -m fastmlp.patch",
        description="Run a program with fastmlp in the place of scikit-learn's MLPClassifier and MLPRegressor.",
        usage="%(prog)s [-h] (script.py | -m module) [arguments ...]",
    )
    parser.add_argument("-m", dest="module", metavar="module", help="run a module, as python -m does")
    parser.add_argument("script", nargs="?", help="run a script")
    given = sys.argv[1:] if arguments is None else arguments
    # What follows the script or module is its own.
    split = 2 if given[:1] == ["-m"] else 1
    parsed = parser.parse_args(given[:split])
    if parsed.module is None and parsed.script is None:
        parser.error("name a script, or a module with -m")
    patch_sklearn()
    rest = given[split:]
    if parsed.module is not None:
        sys.argv = [parsed.module, *rest]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(parsed.module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [parsed.script, *rest]
        sys.path[0] = str(Path(parsed.script).resolve().parent)
        runpy.run_path(parsed.script, run_name="__main__")


if __name__ == "__main__":
    main()
