"""The pages of the API reference, derived from what the package offers: conf.py writes them, a test counts them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from typing import TYPE_CHECKING, NamedTuple

from sphinx.ext.autodoc.mock import mock
from sphinx.pycode import ModuleAnalyzer

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

#: Libraries that need not be there to be written about.
MOCKED = [name for name in ("torch",) if importlib.util.find_spec(name) is None]


class Group(NamedTuple):
    """A section of the reference: its title, a sentence, the module of its names, and these."""

    title: str
    text: str
    module: str
    names: list[str]


#: Modules beside `fastmlp` itself, and what they are for.
MODULES = {
    "metrics": "Measures of how good a network is, by name, as objects and as functions.",
    "schedules": "Hyperparameters that change while a network is trained.",
    "initializers": "Distributions of the first weights.",
    "data": "Readers for what is not an array yet.",
    "datasets": "Data to try things on.",
    "plot": "Pictures, drawn by Matplotlib.",
    "many": "What `fit_many` returns.",
    "search": "Searches for the best of many networks.",
    "tabular": "Estimators for tables with categories and gaps.",
    "sklearn": "Estimators for scikit-learn's pipelines and searches.",
    "torch": "Modules for programs in PyTorch.",
}
#: Of modules whose other names are for the rest of the package.
CHOSEN = {"data": ["parquet", "shard", "table"]}
#: Names that have their place under another module or group.
ELSEWHERE = {"many": {"Ensemble", "fit_many"}, "initializers": {"bias_of_mean", "draw"}}


def module(name: str) -> ModuleType | None:
    """Import a module of the package, with a stand-in where PyTorch is missing; None where there is no such module."""
    if importlib.util.find_spec(f"fastmlp.{name}") is None:
        return None
    with mock(MOCKED):
        return importlib.import_module(f"fastmlp.{name}")


def groups() -> list[Group]:
    """Sort every public name into its group."""
    import fastmlp

    spec = fastmlp.activations, fastmlp.losses, fastmlp.optimizers
    operations = {name for family in spec for name in family.__all__}
    left = [name for name in fastmlp.__all__ if name not in operations | set(MODULES) | {"__version__"}]
    callbacks = [name for name in left if _is_callback(getattr(fastmlp, name))]
    network = ["MLP", "load", "from_onnx", "History", "Trace", "Profile", "PerSample", "TrainingDiverged"]
    many = ["fit_many", "Ensemble"]
    rest = [name for name in left if name not in {*callbacks, *network, *many}]
    found = [
        Group("Networks", "The network, its file, and what its methods return.", "fastmlp", network),
        Group("Activations", "For hidden layers and outputs.", "fastmlp", fastmlp.activations.__all__),
        Group("Losses", "What is made small.", "fastmlp", fastmlp.losses.__all__),
        Group("Optimizers", "The rules by which weights change.", "fastmlp", fastmlp.optimizers.__all__),
        Group("Callbacks", "What looks at a training, and may end it.", "fastmlp", callbacks),
        Group("Many networks", "Trained side by side, and asked together.", "fastmlp", many),
        Group("Settings and the rest", "Threads, the machine, other libraries.", "fastmlp", rest),
    ]
    for name, text in MODULES.items():
        if (known := module(name)) is not None:
            names = CHOSEN.get(name, [each for each in known.__all__ if each not in ELSEWHERE.get(name, ())])
            found.append(Group(f"fastmlp.{name}", text, f"fastmlp.{name}", names))
    return found


def text_of(module: str, name: str) -> str:
    """Return the documentation of a name: a docstring, or the comment above what is no class and no function."""
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing) or inspect.isroutine(thing) or type(thing).__module__.startswith("fastmlp"):
        return inspect.getdoc(thing) or ""
    for known in sorted(found for found in sys.modules if found == module or found.startswith(f"{module}.")):
        comments = ModuleAnalyzer.for_module(known).find_attr_docs()
        if ("", name) in comments:
            return "\n".join(comments["", name])
    return ""


def _is_callback(thing: object) -> bool:
    import fastmlp

    return inspect.isclass(thing) and issubclass(thing, fastmlp.Callback)


def file_names() -> dict[str, str]:
    """Files of names that differ from another name's by their capitals alone, which some disks do not tell apart."""
    full = [f"{group.module}.{name}" for group in groups() for name in group.names]
    taken: set[str] = set()
    other = {}
    for name in sorted(full):  # capitals first
        if name.lower() in taken:
            other[name] = f"{name}_"
        taken.add(name.lower())
    return other


def index() -> str:
    """Return the page that lists all names and makes a page of each."""
    lines = ["API reference", "=============", "", "Every public name, from its docstring.", ""]
    for group in groups():
        lines += [group.title, "-" * len(group.title), "", group.text, "", f".. currentmodule:: {group.module}", ""]
        lines += [".. autosummary::", "   :toctree: .", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in group.names] + [""]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write the list into a folder, where Sphinx makes the other pages beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "index.rst").write_text(index(), encoding="utf-8")
