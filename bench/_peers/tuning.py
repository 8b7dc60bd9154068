"""A framework's ways of doing one job, tried one against the other: a rival runs in the one that suits it best."""

import gc
import sys
import time
from collections.abc import Callable, Mapping

from threadpoolctl import ThreadpoolController, threadpool_info

__all__ = ["blas_threads", "fastest", "set_blas_threads"]

TRIES = 3
#: So much slower than the best in any try, and a candidate is out.
HOPELESS = 4.0


def fastest(candidates: Mapping[str, Callable[[], object]], seconds: float) -> str:
    """Name of the candidate with the shortest run, all of them interleaved; those that fail are out, unless all do."""
    best = dict.fromkeys(candidates, float("inf"))
    failures: list[Exception] = []
    for name, run in candidates.items():
        try:
            run()  # compiles, allocates, starts threads
        except Exception as error:  # noqa: BLE001 - whatever a framework may raise
            print(f"{name} is out: {type(error).__name__}: {error}", file=sys.stderr)
            failures.append(error)
            del best[name]
    if not best:
        raise failures[0]
    if len(best) == 1:
        return next(iter(best))
    gc.collect()
    deadline, tries = time.perf_counter() + seconds, 0
    while len(best) > 1 and (tries < TRIES or time.perf_counter() < deadline):
        for name in list(best):
            start = time.perf_counter()
            candidates[name]()
            best[name] = min(best[name], time.perf_counter() - start)
        tries += 1
        leader = min(best.values())
        best = {name: taken for name, taken in best.items() if taken <= HOPELESS * leader}
    return min(best, key=best.__getitem__)


def blas_threads(threads: int) -> dict[str, int]:
    """The numbers of BLAS threads worth trying, by name: as many as it likes, and one, unless a number is demanded."""
    default = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    return {f"{n} BLAS threads": n for n in dict.fromkeys([default] if threads else [default, 1])}


def set_blas_threads(n: int) -> None:
    """Set the number of BLAS threads for good, unlike threadpoolctl's context manager."""
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        library.set_num_threads(n)
