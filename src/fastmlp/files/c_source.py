"""The kernels' C on one lane, taken apart: what a generated file needs of it, and no more.

csrc/ is written once for all ISAs in vector words; with the words of vec_scalar.h it is plain C. Its layout is
clang-format's, so that everything at the top level begins in the first column and ends with a line that does: that is
all that is assumed here. The files lie beside this module, in csrc/; setup.py copies them there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["constant", "needed", "renamed"]

#: In the order in which isa/instantiate.inl includes them.
_FILES = (
    "base.h",
    "kernels.h",
    "vec_scalar.h",
    "vecmath.inl",
    "reduce.inl",
    "norm.inl",
    "activation.inl",
    "softmax.inl",
    "prelu.inl",
)

_NAME = re.compile(r"[A-Za-z_]\w*")
_FUNCTION = re.compile(r"(\w+)\(")
_VARIABLE = re.compile(r"(\w+)(?:\[\w*\])?\s+FM_UNUSED\s*=|(\w+)(?:\[\w*\])?\s*=")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
#: Conditions of the preprocessor that are decided here, with FM_REAL_IS_FLOAT.
_DEFINED = {"ACTIVATION": False}


@dataclass(frozen=True)
class _Item:
    """A function, a type, constants: what stands at the top level, with the comment above it."""

    text: str
    names: frozenset[str]  # those that it defines
    uses: frozenset[str]  # all others in it, C's own among them


def needed(wanted: list[str], *, is_float: bool) -> tuple[str, list[str]]:
    """The C of functions and of all that they use, in the order of the sources, and the names that it defines.

    Parameters
    ----------
    wanted : list of str
        Names of functions, as ``"relu_value"``.
    is_float : bool
        Whether `real` is float, or else double.

    Raises
    ------
    KeyError
        If there is no such function.
    """
    items = _items(is_float=is_float)
    place = {name: number for number, item in enumerate(items) for name in item.names}
    chosen, open_ends = set(), [place[name] for name in wanted]
    while open_ends:
        number = open_ends.pop()
        if number not in chosen:
            chosen.add(number)
            open_ends += [place[name] for name in items[number].uses if name in place]
    kept = [items[number] for number in sorted(chosen)]
    return "\n".join(item.text for item in kept), sorted(name for item in kept for name in item.names)


def constant(name: str) -> int:
    """The value of an integer constant of the C sources, as ``"FM_DOT_COLUMNS"``."""
    found = [re.search(rf"\b{name} = (\d+)", item.text) for item in _items(is_float=True) if name in item.names]
    if not found or found[0] is None:
        raise KeyError(name)
    return int(found[0][1])


def renamed(text: str, names: list[str], prefix: str) -> str:
    """C in which these names have a prefix, so that two files of it do not meet; comments stay as they are."""
    own = frozenset(names)

    def prefixed(match: re.Match[str]) -> str:
        return prefix + match[0] if match[0] in own else match[0]

    parts = re.split(f"({_COMMENT.pattern})", text, flags=re.DOTALL)
    return "".join(part if part.startswith("/*") else _NAME.sub(prefixed, part) for part in parts)


@cache
def _items(*, is_float: bool) -> list[_Item]:
    folder = resources.files("fastmlp.files") / "csrc"
    found = [_Item("enum { PANEL = 2 };", frozenset(["PANEL"]), frozenset())]  # two vectors of one lane
    for name in _FILES:
        lines = _decided((folder / name).read_text(encoding="utf-8"), {"FM_REAL_IS_FLOAT": is_float, **_DEFINED})
        found += [_item(text) for text in _top_level(lines)]
    return [item for item in found if item.names]


def _decided(text: str, conditions: dict[str, bool]) -> list[str]:
    """Lines that the preprocessor leaves where only these conditions are of interest; its own lines are left out."""
    taken: list[bool] = []
    kept, in_macro = [], False
    for line in text.splitlines():
        words = line.split()
        if in_macro or not line.startswith("#"):
            if not in_macro and all(taken):
                kept.append(line)
            in_macro = in_macro and line.endswith("\\")
            continue
        in_macro = line.endswith("\\")
        if words[0] in ("#if", "#ifdef", "#ifndef"):
            known = conditions.get(words[1], False)
            taken.append(not known if words[0] == "#ifndef" else known)
        elif words[0] == "#else":
            taken[-1] = not taken[-1]
        elif words[0] == "#endif":
            taken.pop()
    return kept


def _top_level(lines: list[str]) -> list[str]:
    """Texts between lines that end something in the first column; a comment goes with what follows it directly."""
    found, current = [], list[str]()
    for line in lines:
        if not line.strip() and not _without_comments(current):
            current = []  # nothing, or a comment of a whole part of the file
            continue
        current.append(line)
        code = _without_comments(current)
        if code.endswith((";", "}")) and code.count("{") == code.count("}"):
            found.append("\n".join(current).rstrip())
            current = []
    return found


def _without_comments(lines: list[str]) -> str:
    """What is there beside comments, one that has not ended yet among them."""
    return re.sub(r"/\*.*", "", _COMMENT.sub("", "\n".join(lines)), flags=re.DOTALL).strip()


def _item(text: str) -> _Item:
    code = _without_comments([text])
    if code.startswith(("FM_INLINE", "static void", "static double", "static vreal")):
        found = _FUNCTION.search(code)
        names = {found[1]} if found else set()
    elif code.startswith("typedef"):
        pointer = re.search(r"\(\*(\w+)\)", code)
        names = {pointer[1] if pointer else _NAME.findall(code)[-1]}
    elif code.startswith(("enum", "static const")):
        names = {a or b for a, b in _VARIABLE.findall(code)} | set(re.findall(r"enum (\w+)", code))
    else:
        names = set()
    return _Item(text, frozenset(names), frozenset(_NAME.findall(code)) - names)
