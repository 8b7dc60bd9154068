"""Common parts of the scripts that compare with rivals: options, ratios, the picture."""

import argparse
import itertools
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _common import positive, threads_argument
from _workloads import architecture

from _peers.crew import Crew

__all__ = [
    "OURS", "add_options", "best_rival", "chart", "draw_training", "ratios", "say_left_out", "threads_in_use",
]  # fmt: skip

#: What is not a rival: fastmlp itself and the NumPy version that ships with it.
OURS = ("fastmlp", "numpy")


@dataclass(frozen=True)
class Series:
    """One rival in a picture, told from others by marker and size as well as by colour (Okabe and Ito's)."""

    label: str
    variants: tuple[str, ...]  # the faster of them is drawn
    color: str
    marker: str
    size: float  # the smaller one is drawn in front


SERIES = (
    Series("JAX", ("jax", "jax-scan"), "#0072B2", "o", 10),
    Series("ONNX Runtime", ("onnxruntime",), "#E69F00", "D", 8),
    Series("torch.compile", ("torch.compile",), "#882255", "^", 8),
    Series("PyTorch", ("torch",), "#D55E00", "s", 11),
    Series("scikit-learn", ("sklearn",), "#009E73", "v", 10),
    Series("NumPy", ("numpy",), "#666666", "X", 9),
)
#: Pixels of a picture on a page; twice as many are drawn. A row has a line for a label above its dots and one below.
WIDTH, ROW, TOP, BOTTOM = 900, 46, 96, 74


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
    """Return the number of threads of the FMA peak that figures are compared with."""
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
    for reason in crew.left_out.values():
        if reason not in told:
            told.add(reason)
            print(f"left out: {reason}", flush=True)


def chart(path: Path, heading: str, note: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw {group: {variant: its time by fastmlp's}} as dots on a log axis, a row for each group.

    A group's name may have a second line, in small print. In the heading, {least:.3g} and {most:.0f} stand for ratios.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    rows = {name: _dots(variants) for name, variants in groups.items()}
    found = [ratio for dots in rows.values() for ratio in dots.values()]
    height = TOP + ROW * len(rows) + BOTTOM
    with plt.rc_context({"font.size": 12.5, "font.family": "DejaVu Sans"}):
        # A white card of its own: it stands on a light page and on a dark one.
        figure = plt.figure(figsize=(WIDTH / 100, height / 100), facecolor="white", linewidth=2, edgecolor="#c8ccd0")
        axes = figure.add_axes((0.245, BOTTOM / height, 0.72, 1 - (TOP + BOTTOM) / height))
        _lay_out(axes, list(rows), min(found), max(found))
        for y, dots in enumerate(rows.values()):
            for series, ratio in dots.items():
                look = {"color": series.color, "markersize": series.size, "markeredgecolor": "white"}
                axes.plot(ratio, y, series.marker, zorder=20 - series.size, **look)
        _name_dots(axes, *max(enumerate(rows.values()), key=lambda row: _room(row[1])))
        text = heading.format(least=min(found), most=max(found))
        figure.text(0.02, 1 - 36 / height, text, fontsize=15.5, fontweight="bold")
        figure.text(0.02, 1 - 62 / height, note, fontsize=11, color="#444444")
        figure.savefig(path, dpi=200, edgecolor=figure.get_edgecolor())
        plt.close(figure)
    print(f"drawn in {path}")


def _dots(variants: Mapping[str, float]) -> dict[Series, float]:
    """The ratio of each rival that is there."""
    return {
        series: min(variants[name] for name in series.variants if name in variants)
        for series in SERIES
        if any(name in variants for name in series.variants)
    }


def _room(dots: Mapping[Series, float]) -> float:
    """Return the factor between the two dots that are nearest to each other."""
    ordered = sorted(dots.values())
    return min((b / a for a, b in itertools.pairwise(ordered)), default=1.0)


def _lay_out(axes: Any, names: Sequence[str], least: float, most: float) -> None:
    """Scale, names of the rows, and the line that fastmlp is."""
    low, high = min(0.82, 0.8 * least), 2.6 * most  # at the right, room for a name
    ticks = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("time, in multiples of fastmlp's (log scale): further right is slower")
    axes.set_yticks([])
    axes.hlines(range(len(names)), *axes.get_xlim(), color="#e4e6e8", linewidth=1, zorder=0)
    axes.axvline(1.0, color="black", linewidth=2.2, zorder=1)
    axes.annotate(
        "fastmlp", (1.0, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 4), textcoords="offset points",
        ha="center", fontweight="bold",
    )  # fmt: skip
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=3)
    for y, name in enumerate(names):
        first, _, second = name.partition("\n")
        for text, offset, size in ((first, 1 if second else -4, 12.5), (second, -13, 10.5)):
            axes.annotate(
                text, (0.0, y), xycoords=("axes fraction", "data"), xytext=(-10, offset), textcoords="offset points",
                ha="right", fontsize=size, color="black" if text is first else "#444444",
            )  # fmt: skip


def _name_dots(axes: Any, y: int, dots: Mapping[Series, float]) -> None:
    """Say whose the dots of one row are: above, below, above, ... and the last one at its right."""
    *others, last = sorted(dots, key=lambda series: dots[series])
    for place, series in enumerate(others):
        axes.annotate(
            series.label, (dots[series], y), xytext=(0, -19 if place % 2 else 9), textcoords="offset points",
            ha="center", color="#222222", fontweight="bold",
        )  # fmt: skip
    axes.annotate(
        last.label, (dots[last], y), xytext=(9, -4), textcoords="offset points", color="#222222", fontweight="bold"
    )


def draw_training(path: Path, report: Mapping[str, Any]) -> None:
    """Draw what peers.py has measured: each network of its report, and all that is no version of ours."""
    where, settings = report["machine"], report["settings"]
    groups = {}
    for result in report["results"].values():
        name = f"{architecture(result['job']['sizes'])}\nbatch {result['job']['batch']:,}"
        ours = result["variants"]["fastmlp"]["us_per_step_median"]
        groups[name] = {
            # Paired round by round where the report has that; figures copied from a table have the medians' ratio.
            rival: figures.get("slower_than_fastmlp", {"median": figures["us_per_step_median"] / ours})["median"]
            for rival, figures in result["variants"].items()
            if rival not in OURS
        }
    note = (
        f"{settings['dtype']}, Adam; {where['cpu']}, {where['cpus']} processors, {where['isa']}; "
        f"{where['date'][:10]}, commit {where['commit'][:7]}"
    )
    chart(path, "Others take {least:.3g} to {most:.0f} times as long for a training step", note, groups)
