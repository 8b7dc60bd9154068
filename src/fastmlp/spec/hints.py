"""Hints what to type here for what is typed elsewhere: arguments and attributes of Keras, PyTorch and scikit-learn.

An unknown one stays an error; the error says what serves in its place. One table, asked only when something failed.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from fastmlp.spec.names import closest

__all__ = ["explained", "explained_as", "explained_class", "no_attribute"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type[Any])

_RATE = "the learning rate belongs to the optimizer: optimizer=Adam(learning_rate=...)"
_STOP = "callbacks=[EarlyStopping(...)] of fit stops early"
_CLIP = "fit and step clip the gradient: clip_norm=... by its norm over all layers, clip_value=... by its entries"
_PENALTY = "the network has it: MLP(..., l1=..., l2=...)"
_LATER = "there is nothing of the kind here yet"

#: An argument's name elsewhere: its name here, for functions that have that, and else what to do.
_ARGUMENTS: dict[str, tuple[str, str]] = {
    # of optimizers
    "lr": ("learning_rate", _RATE),
    "learning_rate": ("", _RATE),
    "learning_rate_init": ("learning_rate", _RATE),
    "betas": ("beta1 and beta2", "they belong to the optimizer: optimizer=Adam(beta1=..., beta2=...)"),
    "beta_1": ("beta1", "it belongs to the optimizer: optimizer=Adam(beta1=...)"),
    "beta_2": ("beta2", "it belongs to the optimizer: optimizer=Adam(beta2=...)"),
    "eps": ("epsilon", "it belongs to the optimizer: optimizer=Adam(epsilon=...)"),
    "alpha": ("weight_decay", "the L2 penalty is the network's, MLP(..., l2=...), or Adam(weight_decay=...)"),
    "decay": ("weight_decay", "it belongs to the optimizer: optimizer=Adam(weight_decay=...)"),
    "nesterovs_momentum": ("nesterov", "it belongs to the optimizer: optimizer=SGD(momentum=..., nesterov=True)"),
    "amsgrad": ("", "it is an optimizer of its own: optimizer=AMSGrad(...)"),
    "clipnorm": ("", _CLIP),
    "global_clipnorm": ("clip_norm", _CLIP),
    "max_norm": ("", _CLIP),
    "kernel_constraint": ("max_norm", "the network has it: MLP(..., max_norm=...)"),
    "max_grad_norm": ("clip_norm", _CLIP),
    "clipvalue": ("clip_value", _CLIP),
    "kernel_regularizer": ("", _PENALTY),
    "params": ("", "an optimizer is given to fit or step, which know the parameters"),
    "solver": ("optimizer", "fit and step take the optimizer"),
    # of networks
    "hidden_layer_sizes": ("", "MLP(sizes) has inputs, hidden widths and outputs"),
    "layers": ("", "MLP(sizes) has inputs, hidden widths and outputs"),
    "units": ("", "MLP(sizes) has inputs, hidden widths and outputs"),
    "random_state": ("seed", "the network has the seed: MLP(..., seed=...)"),
    "kernel_initializer": ("init", "the network has it: MLP(..., init=...)"),
    "output_activation": ("output", "the network has it: MLP(..., output=...)"),
    "criterion": ("loss", "the network has the loss: MLP(..., loss=...)"),
    "dropout_rate": ("dropout", "the network has it: MLP(..., dropout=...)"),
    "batch_norm": ("", _LATER),
    "device": ("", "all is done on the CPU"),
    # of training
    "verbose": ("", "fit(verbose=1) prints lines, fit(progress=True) draws a progress bar"),
    "max_iter": ("epochs", "fit(epochs=...) takes their number"),
    "n_epochs": ("epochs", "fit(epochs=...) takes their number"),
    "num_epochs": ("epochs", "fit(epochs=...) takes their number"),
    "validation_fraction": ("validation_split", ""),
    "max_seconds": ("", "fit(max_seconds=...) stops there"),
    "early_stopping": ("", _STOP),
    "patience": ("", _STOP),
    "n_iter_no_change": ("patience", _STOP),
    "tol": ("", _STOP),
    "warm_start": ("", "fit goes on from where the network is"),
    "use_ema": ("", "fit(ema=0.999) averages the weights"),
    "ema_momentum": ("ema", "fit(ema=0.999) averages the weights"),
    "ema_decay": ("ema", "fit(ema=0.999) averages the weights"),
    "steps_per_epoch": ("", "step takes one batch at a time"),
    "initial_epoch": ("", "fit goes on from where the network is"),
    "n_jobs": ("threads", "threads=... is of the calls that compute, set_num_threads of all of them"),
    "num_workers": ("threads", "threads=... is of the calls that compute, set_num_threads of all of them"),
    "x": ("X", ""),
}

#: An attribute's name elsewhere: what to use here.
_ATTRIBUTES = {
    "lr": "net.optimizer = dataclasses.replace(net.optimizer, learning_rate=...) changes the learning rate",
    "learning_rate": "net.optimizer = dataclasses.replace(net.optimizer, learning_rate=...) changes it",
    "coefs_": "use weights",
    "intercepts_": "use biases",
    "get_weights": "use weights and biases",
    "set_weights": "set weights and biases",
    "parameters": "use weights and biases",
    "state_dict": "use weights and biases, or save",
    "count_params": "use n_parameters",
    "compile": "the loss is MLP's argument, the optimizer fit's",
    "score": "use evaluate",
    "predict_proba": "predict gives probabilities where the output is softmax or logistic",
    "partial_fit": "use step, or fit, which goes on from where the network is",
    "train": "use fit",
    "loss_curve_": "use history.loss",
    "n_iter_": "use n_epochs",
}

_functions: dict[str, tuple[str, ...]] = {}  # the arguments of what is explained


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function answer unknown keyword arguments with what to type here; its signature and types stay."""
    return explained_as(function.__qualname__.removesuffix(".__init__"))(function)


def explained_as(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Explain a function, as `explained` does, that users know by this name: "MLP.fit", whichever base it is from."""
    return functools.partial(_explained, name)


def _explained(name: str, function: Callable[P, R]) -> Callable[P, R]:
    known = tuple(inspect.signature(function).parameters)
    _functions[name] = known

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            unknown = [keyword for keyword in kwargs if keyword not in known]
            if not unknown:
                raise
            message = f"{name}() got an unexpected keyword argument {unknown[0]!r}: {_instead(unknown[0], name, known)}"
            raise TypeError(message) from None

    return call


def explained_class(kind: C) -> C:
    """Answer unknown arguments of a class that is called, as `explained` does for a function."""
    kind.__init__ = explained(kind.__init__)
    return kind


def _instead(keyword: str, function: str, known: tuple[str, ...]) -> str:
    """Say what to type in the place of an argument that a function does not have."""
    here, otherwise = _ARGUMENTS.get(keyword, ("", ""))
    if here and here.split()[0] in known:
        return f"did you mean {here}?"
    if otherwise:
        return otherwise
    if near := closest(keyword, known):
        return f"did you mean {near}?"
    owners = [name for name, arguments in _functions.items() if keyword in arguments and name != function]
    if owners:
        return f"it is an argument of {' and '.join(owners)}"
    return f"it takes {', '.join(name for name in known if name != 'self')}"


def no_attribute(owner: object, name: str) -> NoReturn:
    """Raise the AttributeError of an object that has no such attribute to set."""
    kind = type(owner)
    advice = _ATTRIBUTES.get(name)
    if advice is None:
        near = closest(name, [known for known in dir(kind) if not known.startswith("_")])
        advice = near and f"did you mean {near}?"
    message = f"{kind.__name__!r} object has no attribute {name!r}" + (f": {advice}" if advice else "")
    raise AttributeError(message, name=name, obj=owner)
