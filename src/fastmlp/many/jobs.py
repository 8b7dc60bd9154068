"""The trainings that are to be made: a job for each network and fold, with its own arguments, checked beforehand."""

from __future__ import annotations

import copy
import inspect
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastmlp.many.folds import JobRows, as_folds, rows_of_fold
from fastmlp.many.results import Result
from fastmlp.network import MLP
from fastmlp.network.arguments import as_limits, as_rows, as_steps
from fastmlp.spec import LBFGS
from fastmlp.spec.checks import flag, integer, shown
from fastmlp.spec.names import closest
from fastmlp.train.callbacks import Callback, as_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastmlp.many.folds import Stop
    from fastmlp.network.arguments import Rows

__all__ = ["Job", "as_jobs", "as_networks", "per_network", "run"]

#: Arguments of `MLP.fit` that are no network's own: the data's, and those of one training in front of a user.
NOT_OWN = frozenset(
    {"self", "X", "y", "sample_weight", "validation_data", "validation_split", "threads", "progress", "profile"}
    | {"verbose", "resume"}
)
#: Those that are lists themselves.
LISTS = frozenset({"callbacks", "metrics"})
#: Those of steps, beside the optimizer.
STEPS = frozenset({"clip_norm", "clip_value", "ema", "swa", "mixup", "lr_factors", "lazy"})
#: Those that end a training.
LIMITS = frozenset({"epochs", "max_steps", "max_seconds", "tol", "patience", "target_loss"})
#: Those that are yes or no.
FLAGS = ("shuffle", "train_metrics", "per_sample", "validate_average")


@dataclass
class Job:
    """One training: of a network, or of a copy of it on a fold."""

    index: int
    fold: int | None
    network: MLP
    rows: JobRows
    options: dict[str, Any]  # of fit, beside rows and threads
    threads: int = 1

    @property
    def work(self) -> float:
        """About how long it takes, in any unit: who takes longest is to begin first."""
        return float(self.options.get("epochs") or 1) * len(self.rows) * self.network.n_parameters


def run(job: Job, stop: Stop | None = None) -> Result:
    """Do a job. What goes wrong in it is in the result; what ends a process goes on."""
    net = job.network if job.fold is None else copy.deepcopy(job.network)
    begun, error, start = time.perf_counter(), None, len(net.history.epoch)
    rows: Any = replace(job.rows, stop=stop)
    try:
        net.fit(rows, None, threads=job.threads, **job.options)
    except Exception as caught:  # noqa: BLE001 - the others' trainings go on
        error = caught
    seconds = time.perf_counter() - begun
    called = job.options.get("callbacks", ())
    return Result(job.index, job.fold, net, net.history.since(start), seconds, error, called)


def as_jobs(
    networks: Any, X: Any, y: Any, *, folds: Any, sample_weight: Any, validation_data: Any, options: dict[str, Any]
) -> list[Job]:
    """Check all arguments; return a job for each network and fold. Nothing has changed where one is wrong."""
    nets = as_networks(networks)
    if len({id(net) for net in nets}) < len(nets):
        raise ValueError("networks has one of them twice: give a copy, copy.deepcopy(net)")
    if folds is not None and validation_data is not None:
        raise ValueError("folds have rows to measure by, and validation_data other ones: give one of them")
    defaults = {name: each.default for name, each in inspect.signature(MLP.fit).parameters.items()}
    known = [name for name in defaults if name not in NOT_OWN]
    for name in options:
        if name not in known:
            near = closest(name, known)
            advice = f"did you mean {near}?" if near else f"it takes {', '.join(known)} of MLP.fit"
            raise TypeError(f"fit_many() got an unexpected keyword argument {name!r}: {advice}")
    own = _own_options(options, len(nets))
    for index, (net, given) in enumerate(zip(nets, own, strict=True)):
        with _naming(index):
            _check_training(net, defaults | given)
    rows = _checked_rows(nets, X, y, own, sample_weight, validation_data, weighted=folds is None)
    pairs = as_folds(folds, len(rows[0].data))
    if pairs is not None and len(pairs) > 1:
        for given in own:
            _refuse_shared_files(given.get("callbacks"))
    jobs: list[Job] = []
    for index, (net, given, whole) in enumerate(zip(nets, own, rows, strict=True)):
        weights = given.pop("class_weight", None)
        if pairs is None:
            jobs.append(Job(index, None, net, JobRows(whole.data, whole.plain, whole.validation, whole.names), given))
            continue
        with _naming(index):
            parts = [rows_of_fold(net._learner.spec, whole, fold, weights) for fold in pairs]
        for number, part in enumerate(parts):
            alone = given if number == 0 else given | {"callbacks": _copied(given.get("callbacks", ()))}
            jobs.append(Job(index, number, net, part, alone))
    return jobs


def _own_options(options: dict[str, Any], n_networks: int) -> list[dict[str, Any]]:
    """Return the arguments of `MLP.fit` for each network."""
    own = [
        {name: per_network(value, name, n_networks, index) for name, value in options.items()}
        for index in range(n_networks)
    ]
    if "callbacks" in options and not _is_per_network(options["callbacks"], "callbacks"):
        if n_networks > 1:
            _refuse_shared_files(options["callbacks"])
        for given in own:  # they may remember something
            given["callbacks"] = _copied(given["callbacks"])
    return own


def _copied(callbacks: Any) -> Any:
    """Copies of callbacks for one of several trainings."""
    try:
        return copy.deepcopy(callbacks)
    except Exception as error:
        raise TypeError(
            f"callbacks are copied for each training, and one of {shown(callbacks)} cannot be ({error}): give each "
            "network a list of its own, or one that can be copied"
        ) from error


def _refuse_shared_files(callbacks: Any) -> None:
    """Several trainings have copies of these callbacks, which would all write to one place."""
    for callback in callbacks or ():
        if isinstance(callback, Callback) and callback.writes_files:
            raise ValueError(
                f"callbacks has one {type(callback).__name__} for several trainings, which would all write to the same "
                "place: give a list of callbacks for each network, and train folds without"
            )


def _checked_rows(
    nets: Sequence[MLP],
    X: Any,
    y: Any,
    own: Sequence[dict[str, Any]],
    sample_weight: Any,
    validation_data: Any,
    weighted: bool,
) -> list[Rows]:
    """Check the data for each network, once for those that ask the same of them."""
    checked: dict[Any, Rows] = {}
    rows = []
    for index, (net, given) in enumerate(zip(nets, own, strict=True)):
        spec, weights = net._learner.spec, given.get("class_weight") if weighted else None
        key = spec.loss, net.sizes[0], net.sizes[-1], net.feature_names, net._loss_by_default, _key(weights)
        with _naming(index):
            if key not in checked:
                checked[key] = as_rows(
                    net,
                    X,
                    y,
                    sample_weight,
                    class_weight=weights,
                    validation_data=validation_data,
                    finite=net._finite(),
                    stacklevel=6,
                )
        rows.append(checked[key])
    return rows


def _check_training(net: MLP, asked: dict[str, Any]) -> None:
    """Check those arguments of a network's training that are not the data, as `MLP.fit` will, before any is trained."""
    steps = as_steps(net, asked["optimizer"], **{name: asked[name] for name in STEPS})
    limits = as_limits(called=as_callbacks(asked["callbacks"]), **{name: asked[name] for name in LIMITS})
    if isinstance(steps.method, LBFGS):
        limits.of_search(steps.method)
    integer(asked["batch_size"], "batch_size", 1)
    for name in FLAGS:
        flag(asked[name], name)
    if asked["metrics"] is not None:
        net._metrics(asked["metrics"])


@contextmanager
def _naming(index: int) -> Iterator[None]:
    """Have errors say which network they are of."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"networks[{index}]: {error}") from error


def as_networks(networks: Any) -> list[MLP]:
    """Check the argument `networks` of what takes many of them."""
    if isinstance(networks, MLP) or not hasattr(networks, "__iter__"):
        raise TypeError(f"networks must be a list of MLP, got {shown(networks)}")
    nets = list(networks)
    for index, net in enumerate(nets):
        if not isinstance(net, MLP):
            raise TypeError(f"networks[{index}] must be an MLP, got {shown(net)}")
    if not nets:
        raise ValueError("networks must have one or more, got none")
    return nets


def per_network(value: Any, name: str, n_networks: int, index: int) -> Any:
    """Return a network's own value of an argument: of a list the one at its place."""
    if not _is_per_network(value, name):
        return value
    if len(value) != n_networks:
        raise ValueError(f"{name} must be one for all networks or a list of {n_networks}, got {len(value)} of them")
    return value[index]


def _is_per_network(value: Any, name: str) -> bool:
    if not isinstance(value, list):
        return False
    return name not in LISTS or (bool(value) and all(each is None or isinstance(each, list | tuple) for each in value))


def _key(class_weight: Any) -> Any:
    """Return what tells weights of classes apart."""
    return class_weight if class_weight is None or isinstance(class_weight, str) else id(class_weight)
