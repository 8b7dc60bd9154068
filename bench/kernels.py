"""The matrix kernels and the vector functions of every ISA and dtype, each against what its ISA can do at most.

A kernel and the multiply-add loop that tells the peak take turns in repeats of a millisecond, on one thread; of both
the fastest repeat counts, so the percentage does not depend on the clock that the processor happens to run at.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _bytes
import numpy as np
from _common import describe, failed_checks, machine, one_of, positive, run_script, write_json
from _repeats import long_enough

from fastmlp.cli import table
from fastmlp.runtime import get_backend, load_passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DTYPES = ("float32", "float64", "bfloat16")
GROUPS = ("tile", "rows", "ragged", "few", "columns", "rounding", "math", "bytes")
DEPTHS = (16, 64, 256, 1024, 4096)

# Percent of the peak that the register tile has to reach at K = 256, its operands in the first-level cache.
LEAST = {"avx512": 85.0, "avx2": 80.0}
LEAST_BFLOAT16 = 90.0

# Where the vector functions are timed: the range in which networks use them.
DOMAINS = {"exp": (-20.0, 0.0), "expm1": (-20.0, 0.0), "log": (1e-3, 1.0), "log1p": (0.0, 1.0)}
NUMPY_MATH: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh,
}  # fmt: skip


# ---- matrix kernels -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A product of rows x k with k x panel, to be measured."""

    group: str
    kernel: str  # as passes.probes.gemm_rate calls it
    isa: str
    dtype: str
    rows: int
    k: int


def cases(groups: list[str], isas: list[str], dtypes: list[str]) -> Iterator[Case]:
    """List the products: register tiles alone, full tiles in a row, ragged ones, row kernel, gradient."""
    kernels = load_passes()[0].kernels
    for isa, dtype in itertools.product(isas, dtypes):
        sizes = kernels.table_sizes(isa, dtype)
        tile, panel = sizes["tile_rows"], sizes["panel"]
        ragged = sorted({*range(4, tile), tile + 1, 2 * tile - 1, 4 * tile + 3})
        shapes = {
            "tile": ("rows", [(tile, 256)]),
            "rows": ("rows", [(8 * tile, k) for k in DEPTHS]),
            "ragged": ("rows", [(rows, 256) for rows in ragged]),
            "few": ("few", [(rows, k) for rows in (1, 2, 3) for k in (64, 1024)]),
            "columns": ("columns", [(panel, k) for k in DEPTHS] + [(rows, 256) for rows in sorted({5, panel - 3})]),
        }
        for group in groups:
            if group in shapes:
                kernel, of = shapes[group]
                most = panel if kernel == "columns" else 32 * tile  # the scalar ISA has narrow panels
                yield from (Case(group, kernel, isa, dtype, rows, k) for rows, k in of if 0 < rows <= most)


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """A case and its ISA's peak, interleaved."""
    probes = load_passes()[0].probes

    def peak(count: int) -> tuple[float, float]:
        return probes.fma_rate(case.isa, case.dtype, count)

    def product(count: int) -> tuple[float, float]:
        return probes.gemm_rate(case.kernel, case.isa, case.dtype, case.rows, case.k, count)

    counts = long_enough(peak), long_enough(product)
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for run, count, found in zip((peak, product), counts, rates, strict=True):
            flops, seconds = run(count)
            found.append(flops / seconds / 1e9)
    best_peak, best = map(max, rates)
    return asdict(case) | {
        "gflops": best,
        "gflops_worst": min(rates[1]),
        "peak_gflops": best_peak,
        "percent_of_peak": 100 * best / best_peak,
    }


def show(results: list[dict[str, Any]]) -> str:
    """The table that is printed."""
    rows = []
    before: tuple[str, ...] = ()
    for r in results:
        now = r["isa"], r["dtype"], r["group"]
        same = 0 if now[:2] != before[:2] else 2 if now != before else 3
        rows.append([
            *("" if place < same else cell for place, cell in enumerate(now)),
            str(r["rows"]), str(r["k"]), f"{r['gflops']:.2f}", f"{r['peak_gflops']:.2f}", f"{r['percent_of_peak']:.1f}",
        ])  # fmt: skip
        before = now
    return table(["ISA", "dtype", "shape", "rows", "K", "GFLOP/s", "peak", "% of peak"], rows, 3)


# ---- rounding to bfloat16 -------------------------------------------------------------------------------------------


def measure_rounding(isas: list[str], repeats: int) -> dict[str, dict[str, float]]:
    """GB/s of floats that are read: {ISA: {what: ...}}."""
    probes = load_passes()[0].probes
    found: dict[str, dict[str, float]] = {}
    for isa, what in itertools.product(isas, ("rows", "tile")):

        def rounding(count: int, what: str = what, isa: str = isa) -> tuple[float, float]:
            return probes.round_rate(what, isa, count)

        count = long_enough(rounding)
        rates = [read / seconds / 1e9 for read, seconds in (rounding(count) for _ in range(repeats))]
        found.setdefault(isa, {})[what] = max(rates)
    return found


def show_rounding(found: dict[str, dict[str, float]]) -> str:
    """The table that is printed."""
    rows = [[isa, *(f"{rate:.1f}" for rate in rates.values())] for isa, rates in found.items()]
    return "GB/s of floats that are rounded to bfloat16\n" + table(["ISA", "rows", "tile of weights"], rows, 1)


# ---- vector functions -----------------------------------------------------------------------------------------------


def nanoseconds(function: Callable[[Any, Any], Any], x: Any, out: Any, repeats: int) -> float:
    """Per element, the fastest repeat; the cost of a call is that of a call with 16 elements, and taken off."""

    def run(n: int) -> Callable[[int], tuple[float, float]]:
        def calls(count: int) -> tuple[float, float]:
            start = time.perf_counter()
            for _ in range(count):
                function(x[:n], out[:n])
            return 0.0, time.perf_counter() - start

        return calls

    runs = [(calls, long_enough(calls)) for calls in (run(len(x)), run(16))]
    seconds = [min(each) for each in zip(*([c(n)[1] / n for c, n in runs] for _ in range(repeats)), strict=True)]
    return max(0.0, seconds[0] - seconds[1]) / (len(x) - 16) * 1e9


def measure_math(isas: list[str], dtypes: list[str], repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Nanoseconds per element: {dtype: {function: {ISA or "numpy": ...}}}."""
    kernels, probes = load_passes()[0].kernels, load_passes()[0].probes
    found: dict[str, dict[str, dict[str, float]]] = {}
    for dtype, name in itertools.product(dtypes, kernels.names("math")):
        low, high = DOMAINS.get(name, (-8.0, 8.0))
        x = np.random.default_rng(0).uniform(low, high, 2048).astype(dtype)  # x and out stay in the first-level cache
        out = np.empty_like(x)
        times = {isa: nanoseconds(lambda a, b, n=name, i=isa: probes.math(n, a, b, i), x, out, repeats) for isa in isas}
        if name in NUMPY_MATH:
            times["numpy"] = nanoseconds(NUMPY_MATH[name], x, out, repeats)
        found.setdefault(dtype, {})[name] = times
    return found


def show_math(found: dict[str, dict[str, dict[str, float]]], isas: list[str]) -> str:
    """The table that is printed."""
    rows = [
        [dtype, name, *(f"{times[who]:.3f}" if who in times else "" for who in (*isas, "numpy"))]
        for dtype, functions in found.items()
        for name, times in functions.items()
    ]
    return "nanoseconds per element\n" + table(["dtype", "function", *isas, "NumPy"], rows, 2)


# ---- all of it ------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print, write, check."""
    get_backend("cython")  # or a clear ImportError
    available = [isa["name"] for isa in load_passes()[0].isas() if isa["available"]]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--isa", type=one_of(available), default=available, help=f"default: {','.join(available)}")
    parser.add_argument("--dtype", type=one_of(DTYPES), default=list(DTYPES), help=f"default: {','.join(DTYPES)}")
    parser.add_argument("--shapes", type=one_of(GROUPS), default=list(GROUPS), help=f"default: {','.join(GROUPS)}")
    parser.add_argument("--repeats", type=positive(int), default=15, help="of a millisecond each (default: 15)")
    parser.add_argument(
        "--megabytes", type=positive(float), default=128.0, help="that bytes from memory are in (default: 128)"
    )
    least = ", ".join(f"{limit:.0f} %% on {isa}" for isa, limit in LEAST.items())
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"exit with 1 unless the tile reaches {least}, {LEAST_BFLOAT16:.0f} %% of bfloat16's",
    )
    parser.add_argument("--json", type=Path, help="where to write the report (default: a new file in build/bench)")
    options = parser.parse_args()
    if options.check and "tile" not in options.shapes:
        parser.error("--check is about the shape 'tile', which --shapes leaves out")

    where = machine()
    print(describe(where) + "\n", flush=True)
    results = [measure(case, options.repeats) for case in cases(options.shapes, options.isa, options.dtype)]
    if results:
        print(show(results), flush=True)
    rounding: dict[str, dict[str, float]] = {}
    if "rounding" in options.shapes and "bfloat16" in options.dtype:
        rounding = measure_rounding(options.isa, options.repeats)
        print("\n" + show_rounding(rounding), flush=True)
    reals = [dtype for dtype in options.dtype if dtype != "bfloat16"]
    math = measure_math(options.isa, reals, options.repeats) if "math" in options.shapes else {}
    if math:
        print("\n" + show_math(math, options.isa))
    moved = []
    if "bytes" in options.shapes:
        memory = _bytes.Memory(options.megabytes)
        moved = [_bytes.measure(of, memory, options.repeats) for of in _bytes.operations(options.isa, reals)]
        print("\n" + _bytes.show(moved, options.isa))
    settings = {"repeats": options.repeats, "megabytes": options.megabytes}
    report = {"machine": where, "settings": settings, "gemm": results, "rounding": rounding}
    report |= {"math_ns_per_element": math, "bytes": moved}
    print(f"\nwritten to {write_json(options.json, 'kernels', report)}")
    if not options.check:
        return 0
    tiles = {f"{r['isa']} {r['dtype']}": r["percent_of_peak"] for r in results if r["group"] == "tile"}
    limits = {f"{isa} {dtype}": LEAST[isa] for isa, dtype in itertools.product(options.isa, reals) if isa in LEAST}
    native = [isa for isa in options.isa if load_passes()[0].bfloat16_of(isa)[1]]
    limits |= {name: LEAST_BFLOAT16 for name in tiles if name in {f"{isa} bfloat16" for isa in native}}
    failed = failed_checks(tiles, limits, " %")
    for line in failed:
        print(f"CHECK FAILED  {line}")
    for isa in LEAST:
        if isa not in options.isa:
            print(f"not checked: {isa}" + ("" if isa in available else ", which this machine cannot run"))
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
