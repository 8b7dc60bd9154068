"""Operations that go through memory, for kernels.py: gather, activation, loss, update; in GB/s.

An operation's bytes are those that it has to read and to write, each once. It works in blocks as a step does, on data
that stays in the first-level cache or on much more than any cache holds, in turns with a copy by memcpy; the fastest
repeat of both counts.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from _repeats import long_enough

from fastmlp.cli import table
from fastmlp.passes import kernels, rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Run = Callable[[int], tuple[float, float]]  # of so many passes: bytes, seconds

ROWS, COLUMNS = 16, 64  # of a block: all arrays of an update stay in the first-level cache
PLACES = ("cache", "memory")
#: A row that comes so many bytes later is fetched meanwhile, as in training.
AHEAD_BYTES = 4096
#: Parameters of activations and columns of optimizers, by name; others are 1/2.
NUMBERS = {"slope": 0.01, "alpha": 1.0, "step_size": 1e-4, "learning_rate": 1e-4, "gradient_scale": 1.0}
NUMBERS |= {"beta1": 0.9, "one_minus_beta1": 0.1, "beta2": 0.999, "one_minus_beta2": 0.001, "momentum": 0.9}
NUMBERS |= {"inv_sqrt_correction2": 1.0, "epsilon": 1e-8, "nesterov": 0.0, "weight_decay": 0.0, "clip": 0.0}


@dataclass(frozen=True)
class Operation:
    """A kernel with what it is given."""

    what: str
    name: str
    isa: str
    dtype: str
    numbers: tuple[float, ...] = ()
    labels: bool = False  # in the place of a target

    @property
    def arrays(self) -> int:
        """Number of arrays of a block, as passes.rates lays them out."""
        return int(rates.arrays(self.what, self.name, self.labels))

    @property
    def touched(self) -> int:
        """Arrays read and arrays written."""
        return {"copy": 2, "forward": 2, "backward": 3, "loss": self.arrays + 1, "update": 2 * self.arrays - 1}[
            self.what
        ]


def numbers(names: Iterable[str]) -> tuple[float, ...]:
    """Choose values for the parameters or columns with these names."""
    return tuple(NUMBERS.get(name, 0.5) for name in names)


def operations(isas: list[str], dtypes: list[str]) -> Iterator[Operation]:
    """Go over all operations of the lists."""
    activations, optimizers = kernels.activations(), kernels.optimizers()
    for isa, dtype in itertools.product(isas, dtypes):
        yield from (Operation("gather", name, isa, dtype) for name in kernels.names("source"))
        for what, name in itertools.product(("forward", "backward"), kernels.names("activation")):
            if (what, name) != ("backward", "identity"):  # which does nothing
                yield Operation(what, name, isa, dtype, numbers(activations[name]["params"]))
        for name, loss in kernels.losses().items():
            yield Operation("loss", name, isa, dtype, numbers(loss["params"]), labels=loss["labels"])
        for name, optimizer in optimizers.items():
            yield Operation("update", name, isa, dtype, numbers(optimizer["columns"]))


class Memory:
    """An aligned array, of which each measurement takes the beginning; and numbers to fill it with."""

    def __init__(self, megabytes: float) -> None:
        size = int(megabytes * 1e6) // 64 * 64
        memory = np.empty(size + 64, np.uint8)
        first = -memory.ctypes.data % 64
        self.bytes = memory[first : first + size]
        uniform = np.random.default_rng(0).uniform(0.25, 1.0, 1 << 16)
        self.noise = {dtype: uniform.astype(dtype) for dtype in ("float32", "float64")}

    def filled(self, dtype: str, n: int, zero: bool = False) -> NDArray[Any]:
        """The first n elements, ordinary numbers or zeros."""
        part: NDArray[Any] = self.bytes[: n * np.dtype(dtype).itemsize].view(dtype)
        for start in range(0, n, 1 << 16):
            part[start : start + (1 << 16)] = 0 if zero else self.noise[dtype][: n - start]
        return part


def streaming(operation: Operation, place: str, memory: Memory) -> Run:
    """Passes over blocks of arrays, one or as many as there is memory for."""
    array = ROWS * COLUMNS * np.dtype(operation.dtype).itemsize
    blocks = 1 if place == "cache" else len(memory.bytes) // (operation.arrays * array)
    # d = f'(a) d, again and again, would become a denormal number; zero stays zero.
    elements = blocks * operation.arrays * ROWS * COLUMNS
    data = memory.filled(operation.dtype, elements, zero=operation.what == "backward")
    setting = {"rows": ROWS, "columns": COLUMNS, "numbers": operation.numbers, "labels": operation.labels}

    def run(passes: int) -> tuple[float, float]:
        seconds = rates.kernel_seconds(operation.what, operation.name, data, operation.isa, passes=passes, **setting)
        return float(passes * blocks * operation.touched * array), seconds

    return run


def gathering(operation: Operation, place: str, memory: Memory) -> Run:
    """Passes over shuffled rows, which go into one block."""
    source, item = np.dtype(operation.name), np.dtype(operation.dtype).itemsize
    block = np.zeros(2 * ROWS * COLUMNS, operation.dtype)
    block = block[-block.ctypes.data % 64 // item :][: ROWS * COLUMNS]
    row = COLUMNS * source.itemsize
    rows = ROWS if place == "cache" else len(memory.bytes) // row // ROWS * ROWS
    X = memory.bytes[: rows * row].view(source).reshape(rows, COLUMNS)
    X[:] = 1
    order, ahead = np.random.default_rng(0).permutation(rows), 0 if place == "cache" else 1 + AHEAD_BYTES // row

    def run(passes: int) -> tuple[float, float]:
        seconds = rates.gather_seconds(X, order, block, operation.isa, rows=ROWS, ahead=ahead, passes=passes)
        return float(passes * rows * COLUMNS * (source.itemsize + item)), seconds

    return run


def measure(operation: Operation, memory: Memory, repeats: int) -> dict[str, Any]:
    """An operation and the copy, interleaved, in both places: GB/s."""
    found: dict[str, Any] = asdict(operation)
    for place in PLACES:
        copy = Operation("copy", "", operation.isa, operation.dtype)
        make = gathering if operation.what == "gather" else streaming
        runs = streaming(copy, place, memory), make(operation, place, memory)  # what the copy copies does not matter
        counts = [long_enough(run) for run in runs]
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeats if place == "cache" else -(-repeats // 5)):
            for run, count, rate in zip(runs, counts, rates, strict=True):
                moved, seconds = run(count)
                rate.append(moved / seconds / 1e9)
        found[place] = {"gb_per_second": max(rates[1]), "copy_gb_per_second": max(rates[0])}
    return found


def show(results: list[dict[str, Any]], isas: list[str]) -> str:
    """The table that is printed; of the copies that were measured between the others, the best."""
    found: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
    for r, place in itertools.product(results, PLACES):
        column = r["isa"], place
        copies = found.setdefault((r["dtype"], "copy", ""), {})
        copies[column] = max(copies.get(column, 0.0), r[place]["copy_gb_per_second"])
        found.setdefault((r["dtype"], r["what"], r["name"]), {})[column] = r[place]["gb_per_second"]
    columns = list(itertools.product(isas, PLACES))
    rows = [[*names, *(f"{rates[column]:.1f}" for column in columns)] for names, rates in found.items()]
    heads = ["dtype", "operation", "", *(f"{isa} {place}" for isa, place in columns)]
    return f"GB/s in the first-level cache and from memory\n{table(heads, rows, 3)}"
