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

from fastmlp import datasets
from fastmlp.network import MLP, Trace, load
from fastmlp.runtime import VERSION as __version__  # noqa: N811
from fastmlp.runtime import get_num_threads, set_num_threads, show_config
from fastmlp.spec import (
    ELU,
    LBFGS,
    SGD,
    AbsoluteError,
    Adadelta,
    Adagrad,
    Adam,
    AdaMax,
    AdamW,
    AMSGrad,
    BinaryCrossEntropy,
    CrossEntropy,
    Gamma,
    Huber,
    LeakyReLU,
    Lion,
    LogCosh,
    NAdam,
    Poisson,
    Quantile,
    RAdam,
    RMSprop,
    Rprop,
    Softplus,
    SquaredError,
    Tweedie,
)
from fastmlp.train.callbacks import Callback, EarlyStopping
from fastmlp.train.history import History
from fastmlp.train.plateau import ReduceLROnPlateau
from fastmlp.train.profile import Profile
from fastmlp.train.safety import TrainingDiverged

if TYPE_CHECKING:
    from fastmlp import schedules
    from fastmlp.patch import patch_sklearn, unpatch_sklearn

__all__ = [
    "ELU",
    "LBFGS",
    "MLP",
    "SGD",
    "AMSGrad",
    "AbsoluteError",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "Callback",
    "CrossEntropy",
    "EarlyStopping",
    "Gamma",
    "History",
    "Huber",
    "LeakyReLU",
    "Lion",
    "LogCosh",
    "NAdam",
    "Poisson",
    "Profile",
    "Quantile",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Rprop",
    "Softplus",
    "SquaredError",
    "Trace",
    "TrainingDiverged",
    "Tweedie",
    "__version__",
    "datasets",
    "get_num_threads",
    "load",
    "patch_sklearn",
    "schedules",
    "set_num_threads",
    "show_config",
    "unpatch_sklearn",
]


def __getattr__(name: str) -> Any:
    """What is imported when it is asked for: the patch needs scikit-learn, schedules take a while."""
    if name == "schedules":
        return importlib.import_module("fastmlp.schedules")
    if name in ("patch_sklearn", "unpatch_sklearn"):
        from fastmlp import patch

        return getattr(patch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, also those not imported yet, and none that this file needs for itself."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
