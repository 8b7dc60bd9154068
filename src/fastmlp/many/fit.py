"""`fit_many`: many networks trained on the same data, side by side."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from fastmlp.many.crews import is_executor
from fastmlp.many.jobs import as_jobs
from fastmlp.many.results import Results
from fastmlp.many.workers import do
from fastmlp.runtime import engine_threads, get_num_threads
from fastmlp.spec.checks import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike

    from fastmlp.network import MLP
    from fastmlp.spec import Method

__all__ = ["fit_many"]


def fit_many(
    networks: Sequence[MLP],
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int | list[int] = 10,
    batch_size: int | list[int] = 32,
    optimizer: Method | list[Method] | None = None,
    folds: int | Iterable[Any] | None = None,
    executor: Executor | None = None,
    threads: int | None = None,
    sample_weight: ArrayLike | None = None,
    validation_data: Sequence[ArrayLike] | None = None,
    **options: Any,
) -> Results:
    """Train many networks on the same data, one per thread, to the bits that each has when it is trained alone.

    A thread that is done with a network takes the next one; those that take longest begin. The data are checked once
    and never copied, neither for a network nor for a fold.

    Parameters
    ----------
    networks : sequence of MLP
        Of any hidden layers, seeds and losses that X and y suit. They are trained in place, as `MLP.fit` does.
    X, y, sample_weight, validation_data
        As for `MLP.fit`, for all networks.
    epochs, batch_size, optimizer
        As for `MLP.fit`; a list has one for each network.
    folds : int or iterable of (rows to train on, rows to measure by), optional
        Trains a copy of each network on each fold; the networks themselves stay as they are. Rows are numbers, or one
        yes or no for each; ``sklearn.model_selection.KFold(5).split(X, y)`` gives such pairs. A number deals the rows
        out to so many folds, in a random order that is always the same.
    executor : concurrent.futures.Executor, optional
        Who does the work: threads of another pool, or processes: a ``ProcessPoolExecutor``, mpi4py's
        ``MPIPoolExecutor``, Dask's ``client.get_executor()``, or a ``ray.util.multiprocessing.Pool`` (for the cluster
        that it is on). Large arrays go to the workers once, not with every network: scattered by Dask, in Ray's object
        store, for others by files in a temporary folder, which they map. Networks come back as they have become. Those
        of a worker that is lost are trained once more, by the others, or by a new pool where a ``ProcessPoolExecutor``
        has broken.
    threads : int, optional
        How many networks at once, without an executor. Default: as `fastmlp.get_num_threads` says. Fewer networks share
        them out.
    **options
        All else that `MLP.fit` takes beside the data: `class_weight`, `shuffle`, `callbacks`, `metrics`, `ema`,
        `clip_norm` and so on. A list has one for each network; `callbacks` and `metrics`, which are lists, a list of
        lists. Of one list of callbacks for all, each training gets copies (`Result.callbacks`).

    Returns
    -------
    Results
        A list with a `Result` for each training: network, history, seconds, error; ``results.table()`` for pandas.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; no network has changed.
    KeyboardInterrupt, or what a signal's handler raises
        When all trainings have stopped after a whole step, as `MLP.fit` does.

    Warns
    -----
    RuntimeWarning
        If trainings fail: ``results.failed`` has them with their errors. All others are done.

    Notes
    -----
    Threads train side by side since the passes release the GIL, and short epochs are made several in one call of them
    where nothing has to be seen of each: without callbacks, metrics and validation data. Else a thread needs the GIL
    around each epoch's steps, and the others may wait: very small networks may then be done sooner with ``threads=1``,
    or by processes, which do not share a GIL. All give the same bits.

    Examples
    --------
    >>> import numpy as np, fastmlp
    >>> X = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> nets = [fastmlp.MLP([1, width, 1], seed=0) for width in (4, 16)]
    >>> rates = [fastmlp.Adam(0.03), fastmlp.Adam(0.01)]
    >>> results = fastmlp.fit_many(nets, X, X[:, 0] ** 2, epochs=20, optimizer=rates, folds=5)
    >>> results.values("val_loss").shape
    (2, 5)
    >>> results.best("val_loss").network.sizes
    (1, 16, 1)
    """
    workers = get_num_threads() if threads is None else engine_threads(threads)
    if executor is not None and not is_executor(executor):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {shown(executor)}")
    given = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, **options}
    jobs = as_jobs(
        networks, X, y, folds=folds, sample_weight=sample_weight, validation_data=validation_data, options=given
    )
    results = Results(do(jobs, workers, executor))
    if results.failed:
        first = results.failed[0]
        where = f"networks[{first.index}]" + ("" if first.fold is None else f" on fold {first.fold}")
        warnings.warn(
            f"{len(results.failed)} of {len(results)} trainings failed, the first one of {where}: "
            f"{type(first.error).__name__}: {first.error}",
            RuntimeWarning,
            stacklevel=2,
        )
    return results
