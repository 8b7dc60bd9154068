"""A framework's ways of doing one job, tried one against the other: a rival runs in the one that suits it best."""

import gc
import sys
import time
from collections.abc import Callable, Mapping

__all__ = ["fastest"]

TRIES = 3


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
    while tries < TRIES or time.perf_counter() < deadline:
        for name in best:
            start = time.perf_counter()
            candidates[name]()
            best[name] = min(best[name], time.perf_counter() - start)
        tries += 1
    return min(best, key=best.__getitem__)
