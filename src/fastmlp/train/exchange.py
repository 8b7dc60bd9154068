"""Ranks: the processes of an MPI communicator that train one network together, and what they tell each other.

The only place that knows mpi4py, which is imported where a communicator is given. Every message goes through a
duplicate of it, so that none is taken for the program's own.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastmlp.spec import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastmlp.spec import Array
    from fastmlp.train.deal import Deal

__all__ = ["EXACT_SHARES", "Ranks", "mpi"]

T = TypeVar("T")

#: Shares of a batch with ``exact=True``: 1, 2, 3, 4, 6 and 12 ranks have equally many.
EXACT_SHARES = 12
# How long a rank that has raised waits for the others to do so, too, before it ends them.
SECONDS_TO_AGREE = 2.0


def mpi() -> Any:
    """Import mpi4py's MPI, which initialises MPI if nobody has."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            "comm=... trains over MPI by mpi4py, which is not installed: pip install 'fastmlp[mpi]' (with MPICH), or "
            "mpi4py beside the MPI that is there"
        ) from error
    return MPI


class Ranks:
    """The processes that make each step together.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm

    Attributes
    ----------
    shares : int
        Of a batch, whose gradients are added in their order; 0: one for each rank, in any order.
    every : int or None
        Steps that each rank makes alone before weights and states are averaged; 0: all of an epoch. None: none, each
        step's gradient is exchanged.
    """

    shares: int = 0
    every: int | None = None

    def __init__(self, comm: Any) -> None:
        self.comm = comm.Dup()
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.told = False  # that another rank refuses the call
        self.began = False  # to train: from then on, an error of one ends all
        self.gave_up = False  # the step whose gradient was exchanged last
        self._before: Array | None = None

    # ---- meetings: all ranks are in the same one, and leave it with the same ----------------------------------------

    def meet(self, own: T) -> list[T]:
        """Exchange what each rank has, in their order; an error where one has raised instead of coming."""
        return self._met(self.comm.allgather((None, own)))

    def _met(self, all_of_them: list[tuple[str | None, T]]) -> list[T]:
        for rank, (error, _) in enumerate(all_of_them):
            if error is not None:
                self.told = True
                raise RuntimeError(f"rank {rank} of {self.size} refused the call: {error}")
        return [own for _, own in all_of_them]

    def from_first(self, make: Callable[[], T]) -> T:
        """Let rank 0 make something, and give it to all."""
        return self.meet(make() if self.rank == 0 else None)[0]  # type: ignore[return-value]

    def first_of(self, own: T) -> T:
        """Return what rank 0 has. Only while all ranks train."""
        return self.comm.bcast(own, 0)  # type: ignore[no-any-return]

    def all_of(self, own: T) -> list[T]:
        """Return what each rank has, in their order. Only while all ranks train."""
        return self.comm.allgather(own)  # type: ignore[no-any-return]

    def of_first(self, own: T) -> list[T] | None:
        """Give rank 0 what each rank has, in their order."""
        return self.comm.gather(own, 0)  # type: ignore[no-any-return]

    def swap(self, own: Sequence[T]) -> list[T]:
        """Give each rank something, and return what each gave this one."""
        return self.comm.alltoall(own)  # type: ignore[no-any-return]

    # ---- the end ----------------------------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Tell the others that this rank has raised.

        Before the training, they raise as well, wherever they meet. Within it they may wait for this rank in any
        exchange: unless all of them raise in some seconds, as they do where something is wrong on all ranks, MPI ends
        them.
        """
        if self.told:
            return
        if not self.began:
            self.comm.allgather((f"{type(error).__name__}: {error}", None))
            return
        everybody, end = self.comm.Ibarrier(), time.monotonic() + SECONDS_TO_AGREE
        while not everybody.Test():
            if time.monotonic() > end:
                print(f"fastmlp: rank {self.rank} of {self.size} raised, which ends all of them:", file=sys.stderr)
                traceback.print_exception(error)
                sys.stderr.flush()
                self.comm.Abort(1)
            time.sleep(0.01)

    def close(self) -> None:
        """Give the duplicate of the communicator back."""
        self.comm.Free()

    # ---- what a machine's ranks share -------------------------------------------------------------------------------

    def threads(self, most: int) -> int:
        """Return how many threads of `most` are this rank's, where others may run on the same processors."""
        here = self.comm.Split_type(mpi().COMM_TYPE_SHARED)
        own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        beside = here.allgather(own).count(own)
        here.Free()
        return max(1, most // int(beside))

    # ---- steps ------------------------------------------------------------------------------------------------------

    def cut(self, deal: Deal, first: int, last: int, weights: NDArray[np.float64] | None, weighted: bool) -> Cut:
        """Cut rows into steps [first, last) of a deal; `weights` are those of this rank's rows, in its order.

        Where no rank has any, nothing needs to be exchanged.
        """
        k, steps = deal.shares, last - first
        starts = deal.starts[first * k : last * k + 1] - deal.starts[first * k]
        own = deal.rows_of(deal.own, first, last).astype(np.float64)
        if weights is not None:
            parts = (weights[a:b] for a, b in itertools.pairwise(starts))
            own = np.array([_sum(part) for part in parts]).reshape(steps, k).T
        self._sums = _add_up(self.all_of(own)) if weighted else deal.rows[first:last].astype(np.float64)
        sums = self._sums if self.every is None else own[0].copy()
        self.gave_up = False
        places = deal.places[first * k : last * k]
        return Cut(k, starts, places, sums, np.zeros(steps * k), self.exchange if self.every is None else None)

    def finish(self, cut: Cut, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make the penalties in `losses` the losses of whole batches; return these batches' sums of weights."""
        own = cut.losses.reshape(-1, cut.shares).T
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            losses += np.where(self._sums == 0.0, 0.0, _add_up(self.all_of(own)) / self._sums)
        return self._sums

    def exchange(self, step: int, gradients: list[Array], failed: bool = False) -> bool:  # noqa: ARG002
        """Add up all ranks' gradients in the place of the first; False if one of them gives the step up."""
        total = gradients[0]
        total[-1] = failed
        if self.shares:
            self._add_in_order(gradients)
        else:
            self.comm.Allreduce(mpi().IN_PLACE, total)
        self.gave_up = bool(total[-1] != 0)
        total[-1] = 0
        return not self.gave_up

    def give_up(self, n: int, dtype: Any) -> None:
        """Take part in the exchange of a step whose loss is not finite here: `n` numbers are exchanged."""
        self.exchange(0, [np.zeros(n, dtype)], failed=True)

    def _add_in_order(self, gradients: list[Array]) -> None:
        """Add the shares of rank 0, then those of rank 1, and so on; everybody gets the last one's sum."""
        total = gradients[0]
        if self.rank > 0:
            if self._before is None or self._before.shape != total.shape or self._before.dtype != total.dtype:
                self._before = np.empty_like(total)
            self.comm.Recv(self._before, self.rank - 1)
            np.add(self._before, total, out=total)
        for share in gradients[1:]:
            np.add(total, share, out=total)
        if self.rank < self.size - 1:
            self.comm.Send(total, self.rank + 1)
        self.comm.Bcast(total, self.size - 1)

    def mean(self, tensors: dict[str, Array], part: float) -> dict[str, Array]:
        """Return the mean of all ranks' tensors, in which this rank's count by the part of the rows that it has."""
        flat = np.concatenate([tensor.ravel() for tensor in tensors.values()]).astype(np.float64) * part
        self.comm.Allreduce(mpi().IN_PLACE, flat)
        found, at = {}, 0
        for name, tensor in tensors.items():
            found[name] = flat[at : at + tensor.size].reshape(tensor.shape).astype(tensor.dtype)
            at += tensor.size
        return found


def _sum(values: NDArray[np.float64]) -> float:
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0


def _add_up(of_ranks: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Add what each share has (a row), in the order of the shares, whoever has them."""
    return np.ascontiguousarray(np.add.accumulate(np.concatenate(of_ranks), axis=0)[-1])
