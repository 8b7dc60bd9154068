"""What the scripts that compare with rivals share: options, ratios, the chart."""

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _common import positive, threads_argument

from _peers.crew import Crew

__all__ = ["OURS", "add_options", "best_rival", "chart", "ratios", "say_left_out", "threads_in_use"]

#: What is not a rival: fastmlp itself and the NumPy version that ships with it.
OURS = ("fastmlp", "numpy")
COLORS = {
    "fastmlp": "#d62728",
    "numpy": "#7f7f7f",
    "sklearn": "#ff7f0e",
    "torch": "#9467bd",
    "torch.compile": "#c5b0d5",
    "jax": "#1f77b4",
    "jax-scan": "#aec7e8",
    "onnxruntime": "#2ca02c",
}
BAR = 0.8


def add_options(parser: argparse.ArgumentParser, *, rounds: int, seconds: float, tune: float, png: bool = True) -> None:
    """The options that mean the same in every script."""
    parser.add_argument("--rounds", type=positive(int), default=rounds, help=f"(default: {rounds})")
    parser.add_argument(
        "--seconds", type=positive(float), default=seconds, help=f"of each round and variant (default: {seconds:g})"
    )
    parser.add_argument(
        "--tune-seconds", type=positive(float), default=tune, help=f"in which a rival finds its best way ({tune:g})"
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--threads",
        type=threads_argument,
        default=None,
        help="a number, or auto: each framework's own choice (default)",
    )
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    if png:
        parser.add_argument("--png", type=Path, help="where to draw a chart (needs matplotlib)")


def threads_in_use(threads: int | None) -> int:
    """Of the FMA peak that figures are compared with."""
    return threads or len(os.sched_getaffinity(0))


def ratios(rounds: Mapping[str, Sequence[Mapping[str, Any]]], ours: str = "fastmlp") -> dict[str, dict[str, float]]:
    """{rival: its time by ours in the same round: median, min, max over the rounds}."""
    found = {}
    for name, answers in rounds.items():
        pairs = [theirs["seconds"] / own["seconds"] for theirs, own in zip(answers, rounds[ours], strict=True)]
        found[name] = {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}
    return found


def best_rival(found: Mapping[str, Mapping[str, float]], ours: Sequence[str] = OURS) -> str | None:
    """The rival with the smallest median ratio; None if there is none."""
    rivals = [name for name in found if name not in ours]
    return min(rivals, key=lambda name: found[name]["median"], default=None)


def say_left_out(crew: Crew, told: set[str]) -> None:
    """A word, once, for each rival that does not take part."""
    for name, reason in crew.left_out.items():
        if f"{name}: {reason}" not in told:
            told.add(f"{name}: {reason}")
            print(f"left out: {name}: {reason}", flush=True)


def chart(path: Path, title: str, unit: str, groups: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Draw {group: {variant: {"us": ..., "ratio": ...}}}: bars of time relative to fastmlp, labelled with the time."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no chart: matplotlib is not installed")
        return
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    variants = [name for name in COLORS if any(name in group for group in groups.values())]
    height = BAR / len(variants)
    figure, axes = plt.subplots(figsize=(10, 1.2 + 0.2 * len(groups) * (len(variants) + 1)), layout="constrained")
    highest = max(bar["ratio"] for group in groups.values() for bar in group.values())
    for place, variant in enumerate(variants):
        shown = [(y, group[variant]) for y, group in enumerate(groups.values()) if variant in group]
        positions = [y + (place + 0.5) * height - BAR / 2 for y, _ in shown]
        axes.barh(positions, [bar["ratio"] for _, bar in shown], height, label=variant, color=COLORS[variant])
        for position, (_, bar) in zip(positions, shown, strict=True):
            text = _microseconds(bar["us"]) + (f"  ({bar['ratio']:.3g}x)" if variant != "fastmlp" else "")
            axes.text(max(bar["ratio"], 1.0) * 1.04, position, text, va="center", fontsize=7)
    axes.axvline(1.0, color=COLORS["fastmlp"], linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *(0.8 * bar["ratio"] for group in groups.values() for bar in group.values())), highest * 4)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel(f"time per {unit} relative to fastmlp (log scale; shorter is faster)")
    axes.set_title(title, fontsize=9)
    axes.legend(loc="lower right", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"drawn in {path}")


def _microseconds(us: float) -> str:
    return f"{us:.3g} µs" if us < 1000 else f"{us / 1000:.3g} ms"
