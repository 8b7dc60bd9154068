"""fastmlp: multi-layer perceptrons on CPUs, fast.

>>> import fastmlp
>>> images, digits = fastmlp.datasets.load_digits()
>>> net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
>>> history = net.fit(images, digits, epochs=20)
>>> net.evaluate(images, digits)["accuracy"] > 0.98
True
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastmlp.network import MLP as MLP
from fastmlp.network import Trace as Trace
from fastmlp.network import from_onnx as from_onnx
from fastmlp.network import load as load
from fastmlp.runtime import VERSION as __version__  # noqa: N811
from fastmlp.runtime import get_num_threads as get_num_threads
from fastmlp.runtime import set_num_threads as set_num_threads
from fastmlp.runtime import set_workers as set_workers
from fastmlp.runtime import show_config as show_config
from fastmlp.spec import activations, losses, optimizers
from fastmlp.spec.activations import *
from fastmlp.spec.losses import *
from fastmlp.spec.optimizers import *
from fastmlp.train.callbacks import Callback as Callback
from fastmlp.train.callbacks import EarlyStopping as EarlyStopping
from fastmlp.train.checkpoint import Checkpoint as Checkpoint
from fastmlp.train.history import History as History
from fastmlp.train.loggers import CSVLogger as CSVLogger
from fastmlp.train.loggers import JSONLogger as JSONLogger
from fastmlp.train.loggers import LambdaCallback as LambdaCallback
from fastmlp.train.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from fastmlp.train.profile import Profile as Profile
from fastmlp.train.safety import TrainingDiverged as TrainingDiverged
from fastmlp.train.samples import PerSample as PerSample

if TYPE_CHECKING:
    from fastmlp import datasets as datasets
    from fastmlp import metrics as metrics
    from fastmlp import plot as plot
    from fastmlp import schedules as schedules
    from fastmlp import search as search
    from fastmlp.c_api import get_include as get_include
    from fastmlp.many import Ensemble as Ensemble
    from fastmlp.many import fit_many as fit_many
    from fastmlp.patch import patch_sklearn as patch_sklearn
    from fastmlp.patch import unpatch_sklearn as unpatch_sklearn
    from fastmlp.train.finder import LearningRateFinder as LearningRateFinder
    from fastmlp.train.pruning import OptunaPruning as OptunaPruning
    from fastmlp.train.tensorboard import TensorBoard as TensorBoard
    from fastmlp.train.weight_history import WeightHistory as WeightHistory

if not TYPE_CHECKING:  # a checker adds up no lists, and takes what the imports say
    __all__ = [
        "MLP",
        "CSVLogger",
        "Callback",
        "Checkpoint",
        "EarlyStopping",
        "Ensemble",
        "History",
        "JSONLogger",
        "LambdaCallback",
        "LearningRateFinder",
        "OptunaPruning",
        "PerSample",
        "Profile",
        "ReduceLROnPlateau",
        "TensorBoard",
        "Trace",
        "TrainingDiverged",
        "WeightHistory",
        "__version__",
        "datasets",
        "fit_many",
        "from_onnx",
        "get_include",
        "get_num_threads",
        "load",
        "metrics",
        "patch_sklearn",
        "plot",
        "schedules",
        "search",
        "set_num_threads",
        "set_workers",
        "show_config",
        "unpatch_sklearn",
    ]
    __all__ += activations.__all__
    __all__ += losses.__all__
    __all__ += optimizers.__all__


#: Where the classes are that few trainings need.
_LATER = {
    "LearningRateFinder": "finder",
    "OptunaPruning": "pruning",
    "TensorBoard": "tensorboard",
    "WeightHistory": "weight_history",
}


def __getattr__(name: str) -> Any:
    """What is imported when it is asked for: the patch needs scikit-learn, all else takes a while."""
    if name in ("datasets", "metrics", "plot", "schedules", "search"):
        return importlib.import_module(f"fastmlp.{name}")
    if name in ("Ensemble", "fit_many"):
        return getattr(importlib.import_module("fastmlp.many"), name)
    if name in _LATER:
        return getattr(importlib.import_module(f"fastmlp.train.{_LATER[name]}"), name)
    if name == "get_include":
        return importlib.import_module("fastmlp.c_api").get_include
    if name == "_C_API":
        return importlib.import_module("fastmlp.c_api").capsule()
    if name in ("patch_sklearn", "unpatch_sklearn"):
        from fastmlp import patch

        return getattr(patch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, also those not imported yet, and none that this file needs for itself."""
    return sorted({*globals()["__all__"], *(name for name in globals() if name.startswith("__"))})
