"""PyTorch's module, the same compiled, and fastmlp.torch's: forward, loss, backward and Adam, and rows predicted alone.

`python bench/torch_module.py --help` tells the options. Needs PyTorch. The three take turns, in one process.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch import nn

import fastmlp.torch

if TYPE_CHECKING:
    from collections.abc import Callable

#: Sizes, rows of a batch, and the least speed-ups that are wanted over eager and compiled modules.
TRAININGS = (
    ([8, 64, 64, 4], 64, 2.2, None),
    ([100, 128, 128, 10], 128, 2.5, 1.6),
    ([784, 256, 128, 10], 128, 2.3, None),
)


def step_of(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """Return a function that makes one step of training."""
    optimizer = torch.optim.Adam(module.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(module(x), y).backward()
        optimizer.step()

    return step


def row_of(module: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Return a function that predicts one row."""

    def predict() -> None:
        with torch.no_grad():
            module(x)

    return predict


def medians(calls: dict[str, Callable[[], None]], rounds: int, repeats: int) -> dict[str, float]:
    """Microseconds of each call: medians over rounds, in each of which every one is repeated in its turn."""
    for call in calls.values():
        for _ in range(3 * repeats):
            call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            found[name].append((time.perf_counter() - start) / repeats * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def modules(sizes: list[int], compiled: bool) -> dict[str, nn.Module]:
    """Make the rivals, with the same parameters."""
    torch.manual_seed(0)
    fused = fastmlp.torch.MLP(sizes, activation="relu")
    made: dict[str, nn.Module] = {"eager": copy.deepcopy(fastmlp.torch.to_sequential(fused))}
    if compiled:
        made["compiled"] = torch.compile(copy.deepcopy(made["eager"]))
    return made | {"fastmlp": fused}


def show(title: str, found: dict[str, float], wanted: dict[str, float | None]) -> None:
    """Print times, and by how much fastmlp's is shorter."""
    ratios = []
    for name, value in found.items():
        if name != "fastmlp":
            least = wanted.get(name)
            ratios.append(f"{value / found['fastmlp']:.2f} x {name}{f' (wanted {least})' if least else ''}")
    times = ", ".join(f"{name} {value:.1f} us" for name, value in found.items())
    print(f"{title}: {times}; fastmlp {', '.join(ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--repeats", type=int, default=50, help="steps of one in a round")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--threads", type=int, help="PyTorch's and fastmlp's; default: PyTorch's own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    for sizes, rows, eager, compiled in TRAININGS:
        x, y = torch.randn(rows, sizes[0]), torch.randn(rows, sizes[-1])
        made = modules(sizes, not arguments.no_compile)
        calls = {name: step_of(module, x, y) for name, module in made.items()}
        title = f"step of {'-'.join(map(str, sizes))}, batch {rows}"
        show(title, medians(calls, arguments.rounds, arguments.repeats), {"eager": eager, "compiled": compiled})
    sizes, x = TRAININGS[0][0], torch.randn(1, TRAININGS[0][0][0])
    calls = {name: row_of(module, x) for name, module in modules(sizes, not arguments.no_compile).items()}
    title = f"one row of {'-'.join(map(str, sizes))}"
    show(title, medians(calls, arguments.rounds, 10 * arguments.repeats), {"eager": 2.0})


if __name__ == "__main__":
    main()
