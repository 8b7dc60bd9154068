"""The arguments ``comm``, ``exact`` and ``sync_every`` of `MLP.fit`: what all ranks agree on before they train."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np

from fastmlp.data import Data
from fastmlp.data.table import Pieces
from fastmlp.network.resuming import as_resumed
from fastmlp.spec import LBFGS
from fastmlp.spec.checks import integer
from fastmlp.train.deal import Deal, DealtRows
from fastmlp.train.epoch import Epoch
from fastmlp.train.exchange import EXACT_SHARES, Ranks, mpi
from fastmlp.train.shared import SharedBatches, SharedEpoch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from fastmlp.network.arguments import Rows
    from fastmlp.network.batches import InBatches
    from fastmlp.network.measures import Measures
    from fastmlp.network.resuming import Resumed
    from fastmlp.network.state import State
    from fastmlp.spec import Optimizer
    from fastmlp.train.learner import StepOptions

__all__ = ["Dealing", "as_resumed_by", "epoch_of", "join", "refuse_alone", "refuse_together", "together"]

P = ParamSpec("P")
R = TypeVar("R")

# Shares of a batch, whose gradients a rank keeps until those before have come.
MOST_SHARES = 64


def together(fit: Callable[P, R]) -> Callable[P, R]:
    """Let a training that is given a communicator as `comm` have the `Ranks` there; an error of one rank ends all."""

    @functools.wraps(fit)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        comm = kwargs.get("comm")
        if comm is None:
            return fit(*args, **kwargs)
        if not isinstance(comm, mpi().Intracomm):
            raise TypeError(
                f"comm must be an mpi4py communicator such as MPI.COMM_WORLD, got {comm!r:.80} ({type(comm).__name__})"
            )
        ranks = Ranks(comm)
        try:
            use_arguments(ranks, kwargs.get("exact", False), kwargs.get("sync_every", 1))
            if ranks.size > 1 or ranks.shares:
                return fit(*args, **{**kwargs, "comm": ranks})  # type: ignore[arg-type]
            return fit(*args, **{**kwargs, "comm": None, "sync_every": 1})  # type: ignore[arg-type]
        except BaseException as error:
            ranks.failed(error)
            raise
        finally:
            ranks.close()

    return cast("Callable[P, R]", call)


def refuse_alone(exact: object, sync_every: object) -> None:
    """Refuse the arguments of several ranks where there is one process."""
    for name, given, default in (("exact", exact, False), ("sync_every", sync_every, 1)):
        if given is not default and given != default:
            raise ValueError(f"{name} is of a training by several processes: give comm, such as MPI.COMM_WORLD, too")


def use_arguments(ranks: Ranks, exact: Any, sync_every: Any) -> None:
    """Check the arguments that say how ranks make their steps."""
    shares = 0
    if exact is True:
        shares = EXACT_SHARES
    elif exact is not False:
        shares = integer(exact, "exact", 1, MOST_SHARES)
    if shares and shares < ranks.size:
        raise ValueError(
            f"exact={exact!r} cuts a batch into {shares} shares, and {ranks.size} ranks need one each: give more"
        )
    every: int | None = 0
    if sync_every != "epoch":
        every = integer(sync_every, "sync_every (or 'epoch')", 1)
    if shares and every != 1:
        raise ValueError("exact adds up the gradients of every step: leave sync_every=1")
    ranks.shares, ranks.every = shares, None if every == 1 else every


@dataclass(frozen=True)
class Dealing:
    """What the ranks have agreed on.

    Attributes
    ----------
    sizes : list of int
        Rows that each rank has.
    weighted : bool
        Whether any row of any rank has a weight.
    """

    ranks: Ranks
    sizes: list[int]
    weighted: bool

    @property
    def n_rows(self) -> int:
        """Number of rows, of all ranks."""
        return sum(self.sizes)

    def source(self, net: Measures, rows: Rows, batch_size: int, shuffle: bool, seed: int, sparse: bool) -> DealtRows:
        """Return what this rank reads in an epoch; `exact` shares of rows that others have are sent to who has most."""
        ranks = self.ranks
        permutation = net._backend.permutation if shuffle else None
        if not ranks.shares:
            deal = Deal(self.sizes, range(ranks.rank, ranks.rank + 1), batch_size)
            if ranks.every is not None and min(self.sizes) < deal.steps:
                raise ValueError(
                    f"with sync_every each rank makes every step, {deal.steps} of them, and they have {self.sizes} rows"
                )
            part = np.arange(len(rows), dtype=np.int64) if rows.part is None else rows.part
            return DealtRows(rows.data, deal, part, seed, permutation, sparse)
        n, m = self.n_rows, ranks.shares
        starts = [n * share // m for share in range(m + 1)]
        owned = _dealt(self.sizes, m)
        deal = Deal(list(np.diff(starts)), range(owned[ranks.rank], owned[ranks.rank + 1]), batch_size)
        data, numbers = _moved(ranks, rows.data, self.sizes, [starts[share] for share in owned])
        return DealtRows(data, deal, numbers, seed, permutation, sparse)


def _dealt(sizes: list[int], shares: int) -> list[int]:
    """Return the first share of each rank, and their number: whole ones, near the rows that it has, one at least."""
    first, size, n = [0], len(sizes), sum(sizes)
    for rank in range(1, size):
        wanted = round(sum(sizes[:rank]) * shares / n)
        first.append(min(max(wanted, first[-1] + 1), shares - (size - rank)))
    return [*first, shares]


def _moved(ranks: Ranks, data: Data, sizes: list[int], wanted: list[int]) -> tuple[Data, NDArray[np.int64]]:
    """Send the rows of shares that begin or end within another rank's part to who has the share.

    `wanted` are the numbers, among all rows, of the first that each rank is to have, and their end. Returns this rank's
    data with what has come behind them, and the numbers of the rows that it is to have there.
    """
    first = sum(sizes[: ranks.rank])
    given = []
    for rank in range(ranks.size):
        start, stop = (min(max(row - first, 0), len(data)) for row in wanted[rank : rank + 2])
        nothing = rank == ranks.rank or start == stop
        weight = None if data.weight is None else data.weight[start:stop]
        given.append(None if nothing else (data.X[start:stop], data.y[start:stop], weight))
    came = ranks.swap(given)
    numbers, at, pieces = [], len(data), []
    for rank, piece in enumerate(came):
        if rank == ranks.rank:
            start, stop = (min(max(row - first, 0), len(data)) for row in wanted[rank : rank + 2])
            numbers.append(np.arange(start, stop, dtype=np.int64))
        elif piece is not None:
            pieces.append(piece)
            numbers.append(np.arange(at, at + len(piece[1]), dtype=np.int64))
            at += len(piece[1])
    if pieces:
        weights: NDArray[np.float64] | None = None
        if any(weight is not None for weight in (data.weight, *(weight for _, _, weight in pieces))):
            each = [(data.y, data.weight), *((y, weight) for _, y, weight in pieces)]
            weights = np.concatenate([np.ones(len(y)) if weight is None else weight for y, weight in each])
        y = np.concatenate([data.y, *(y for _, y, _ in pieces)])
        data = Data(Pieces([data.X, *(X for X, _, _ in pieces)]), y, weights)
    return data, np.concatenate(numbers)


def refuse_together(
    net: State, method: Optimizer | LBFGS | None, options: StepOptions, others: Mapping[str, object]
) -> None:
    """Refuse what needs rows, or statistics of rows, that lie on several ranks."""
    if isinstance(method, LBFGS):
        raise ValueError(
            "LBFGS takes all rows at once, and with comm they lie on several ranks: give another optimizer"
        )
    if net.norm == "batch":
        raise ValueError(
            "norm='batch' takes its statistics of a whole batch, which with comm lies on several ranks: take "
            "norm='layer'"
        )
    if options.mixup:
        raise ValueError("mixup mixes each row with the next one of its batch, which with comm may lie on another rank")
    for name, given in others.items():
        if given:
            raise ValueError(f"{name} is not for a training with comm")
    if not net._learner.normalizing.measured:
        raise ValueError(
            "normalize needs the statistics of all rows, and each rank has a part: call adapt before, on rank 0, from "
            "which the others get them"
        )


def join(net: State, ranks: Ranks, rows: Rows | InBatches, call: Mapping[str, object]) -> Dealing:
    """Let all ranks see that their calls go together, and stand where rank 0's network does."""
    learner = net._learner
    own = {
        "network": repr(learner.spec),
        "backend": net.backend,
        "isa": net.isa,
        **{k: repr(v) for k, v in call.items()},
    }
    data = None if rows.n_rows is None else rows.data
    dtypes = ("", "") if data is None else (data.y.dtype.str, data.X.dtype.str)
    met = ranks.meet((own, rows.n_rows or 0, data is not None and data.weight is not None, *dtypes))
    for rank, (theirs, *_) in enumerate(met):
        for name, first in met[0][0].items():
            if theirs[name] != first:
                raise ValueError(
                    f"all ranks must make the same call: rank 0 has {name} {first:.99}, rank {rank} {theirs[name]:.99}"
                    + ("; set FASTMLP_ISA to one that all have" if name == "isa" else "")
                )
    if ranks.shares:
        for rank, (_, _, _, y, X) in enumerate(met):
            if (y, X) != met[0][3:]:
                raise ValueError(
                    f"with exact, rows are of one dtype: rank 0 has X of {met[0][4]} and y of {met[0][3]}, rank {rank} "
                    f"{X} and {y}"
                )
    sizes = [n for _, n, *_ in met]
    if data is not None and ranks.shares > sum(sizes):
        raise ValueError(f"exact cuts {sum(sizes)} rows into {ranks.shares} shares: give fewer, exact={ranks.size}")
    if data is None and (ranks.shares or ranks.every is not None):
        raise ValueError("exact and sync_every are of rows that are dealt out, and X is batches: give X and y")
    checkpoint, history = ranks.from_first(lambda: (learner.checkpoint(), net._history))
    if ranks.rank > 0:
        with net._access.training("fit"):
            learner.follow(checkpoint)
            net._history.become(history)
            net._unfinished = None
    ranks.began = True
    return Dealing(ranks, sizes, any(weighted for _, _, weighted, *_ in met))


def as_resumed_by(ranks: Ranks | None, net: State, resume: Any) -> tuple[Resumed | None, int]:
    """Check the argument ``resume``, on rank 0 where there are several; return it with the training's seed."""
    if ranks is not None:
        return ranks.from_first(lambda: as_resumed_by(None, net, resume))
    resumed = as_resumed(net, resume)
    return resumed, net.seed if resumed is None else resumed.seed


def epoch_of(
    net: Measures,
    rows: Rows | InBatches,
    dealing: Dealing | None,
    batch_size: int,
    shuffle: bool,
    seed: int,
    threads: int,
    options: StepOptions,
) -> Epoch:
    """Return the epochs of a training, whose steps are made alone or together with other ranks."""
    learner = net._learner
    sparse = learner.reads_sparse(options)
    if dealing is None:
        return Epoch(learner, rows.source(net, shuffle, seed, sparse), batch_size, threads, options=options)
    if rows.n_rows is None:
        return SharedBatches(learner, rows.source(net, shuffle, seed, sparse), 1, threads, dealing.ranks, options)
    source, weighted = dealing.source(net, rows, batch_size, shuffle, seed, sparse), dealing.weighted
    return SharedEpoch(learner, source, batch_size, threads, dealing.ranks, options, weighted=weighted)
