"""Writes torch_schedules.npz: small trainings in float64 whose learning rates PyTorch's schedulers change.

Run it where torch is installed: python tests/data/make_torch_schedules.py. tests/reference/test_torch_schedules.py
holds both engines to the numbers, without torch. Trainings are those of make_torch_trajectories.py, with other rules.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np


def _trajectories():
    path = Path(__file__).with_name("make_torch_trajectories.py")
    spec = importlib.util.spec_from_file_location("make_torch_trajectories", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRAJECTORIES = _trajectories()
PATH = Path(__file__).with_name("torch_schedules.npz")
TRAINING, RATE, STEPS = "adamw", 0.05, 20  # of the trainings there; the rate to begin with; five epochs

RULES = {
    "sgd": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    "adamw": {"name": "adamw", "weight_decay": 0.5},
}


def _by_steps(make):
    """Hooks that let a scheduler go on after every step."""

    def hooks(optimizer):
        import torch

        return make(torch.optim.lr_scheduler, optimizer).step, lambda loss: None

    return hooks


def _by_epochs(make):
    """Hooks that let a scheduler go on after every epoch."""

    def hooks(optimizer):
        import torch

        scheduler = make(torch.optim.lr_scheduler, optimizer)
        return lambda: None, lambda loss: scheduler.step()

    return hooks


def _rate(function):
    """PyTorch's scheduler of a function of the step, whose values are shares of the first rate."""
    return lambda lr, o: lr.LambdaLR(o, lambda step: function(step) / RATE)


def _after(warmup, make):
    """PyTorch's scheduler of a line to the rate, and then another."""
    return lambda lr, o: lr.SequentialLR(
        o, [lr.LinearLR(o, 1 / (warmup + 1), 1.0, warmup), make(lr, o)], milestones=[warmup]
    )


#: Our schedule, as its `to_dict` has it, and hooks of PyTorch's scheduler of the same values.
SCHEDULES = {
    "constant": ({"name": "constant"}, _by_steps(lambda lr, o: lr.ConstantLR(o, 1.0))),
    "linear": ({"name": "linear", "steps": 16, "end": 0.01}, _by_steps(lambda lr, o: lr.LinearLR(o, 1.0, 0.2, 16))),
    "polynomial": (
        {"name": "polynomial", "steps": 15, "power": 2.0}, _by_steps(lambda lr, o: lr.PolynomialLR(o, 15, 2.0)),
    ),
    "step": ({"name": "step", "every": 7, "factor": 0.5}, _by_steps(lambda lr, o: lr.StepLR(o, 7, 0.5))),
    "multi_step": (
        {"name": "multi_step", "at": [3, 12], "factor": 0.2}, _by_steps(lambda lr, o: lr.MultiStepLR(o, [3, 12], 0.2)),
    ),
    "exponential": (
        {"name": "exponential", "steps": 1, "factor": 0.9}, _by_steps(lambda lr, o: lr.ExponentialLR(o, 0.9)),
    ),
    "inverse_sqrt": (
        {"name": "inverse_sqrt", "timescale": 5}, _by_steps(_rate(lambda step: RATE / math.sqrt(1 + step / 5))),
    ),
    "inverse_scaling": (
        {"name": "inverse_scaling", "power": 1.5}, _by_steps(_rate(lambda step: RATE / (step + 1) ** 1.5)),
    ),
    "cosine": (
        {"name": "cosine", "steps": 20, "end": 0.01}, _by_steps(lambda lr, o: lr.CosineAnnealingLR(o, 20, 0.01)),
    ),
    "cosine_restarts": (
        {"name": "cosine_restarts", "period": 5, "longer": 2},
        _by_steps(lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 5, 2)),
    ),
    "one_cycle": (  # theirs counts from the first step to the last, and rises until 6 / 21 of 21 less one
        {"name": "one_cycle", "steps": 20, "rise": 0.25},
        _by_steps(lambda lr, o: lr.OneCycleLR(o, RATE, 21, pct_start=6 / 21, cycle_momentum=False)),
    ),
    "flat_cosine": (
        {"name": "flat_cosine", "steps": 20, "flat": 0.25},
        _by_steps(lambda lr, o: lr.SequentialLR(
            o, [lr.ConstantLR(o, 1.0), lr.CosineAnnealingLR(o, 15)], milestones=[5]
        )),
    ),
    "coslog": (
        {"name": "coslog", "steps": 20, "cycles": 3},
        _by_steps(_rate(lambda step: RATE * (1 - math.cos(2 * math.pi * math.log2(1 + 7 * step / 20))) / 2)),
    ),
    "warm_step": (
        {"name": "step", "every": 6, "factor": 0.5, "warmup": 4},
        _by_steps(_after(4, lambda lr, o: lr.StepLR(o, 6, 0.5))),
    ),
    "cosine_by_epoch": (
        {"name": "cosine", "steps": 4, "by": "epoch"}, _by_epochs(lambda lr, o: lr.CosineAnnealingLR(o, 4)),
    ),
    "step_by_epoch": (
        {"name": "step", "every": 2, "factor": 0.5, "by": "epoch"}, _by_epochs(lambda lr, o: lr.StepLR(o, 2, 0.5)),
    ),
}  # fmt: skip

#: Arguments of our ReduceLROnPlateau, whose patience is PyTorch's and one more, and a rate too high to get better.
PLATEAUS = {
    "plain": {"factor": 0.5, "patience": 2, "min_delta": 0.0},
    "cooling": {"factor": 0.3, "patience": 1, "min_delta": 0.02, "cooldown": 2},
    "bounded": {"factor": 0.1, "patience": 1, "min_delta": 0.05, "min_lr": 0.02},
}
PLATEAU_RATE, PLATEAU_EPOCHS = 0.4, 16


#: PyTorch's OneCycleLR turns the momentum (SGD's, or the first beta) the other way round: ours, by rule.
MOMENTUM = {"name": "one_cycle", "value": 0.85, "steps": 20, "rise": 0.25, "begin": 0.95 / 0.85, "end": 0.95 / 0.85}
MOMENTUM_OF = {"sgd": "momentum", "adamw": "beta1"}
MOMENTUM_HOOKS = _by_steps(lambda lr, o: lr.OneCycleLR(o, RATE, 21, pct_start=6 / 21))


#: Our `lr_factors`; PyTorch has groups of parameters in their place.
FACTORS = {"bias": 0.1, "layers.1": 3.0, "layers.0.weight": 0.5}


def group_hooks(optimizer):
    """Hooks that leave the optimizer a group of parameters for each matrix and vector, with its own learning rate."""
    for group, own in zip(optimizer.param_groups[:], ((0.5, 3.0), (0.1, 0.3)), strict=True):
        first, second = group["params"]
        group["params"] = [first]
        optimizer.add_param_group(group | {"params": [second], "lr": RATE * own[1]})
        group["lr"] = RATE * own[0]
    return lambda: None, lambda loss: None


def plateau_hooks(given, rates):
    """Hooks of PyTorch's scheduler for losses of epochs, which note each epoch's rate in a list."""

    def hooks(optimizer):
        import torch

        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=given["factor"], patience=given["patience"] - 1, threshold=given["min_delta"],
            threshold_mode="abs", cooldown=given.get("cooldown", 0), min_lr=given.get("min_lr", 0.0), eps=0.0,
        )  # fmt: skip

        def after_epoch(loss):
            scheduler.step(loss)
            rates.append(optimizer.param_groups[0]["lr"])

        return lambda: None, after_epoch

    return hooks


def rule(name, rate=RATE):
    """A rule with a rate, or a schedule of it, as `Optimizer.to_dict` would have it where it is not the default."""
    return RULES[name] | {"learning_rate": rate}


def schedule(name):
    """Our schedule, as its `to_dict` has it where it is not the default."""
    return {"value": RATE} | SCHEDULES[name][0]


def torch_results():
    """All that is stored: by schedule and rule the losses and the last parameters, of plateaus also the rates."""
    found = {}
    for kind in RULES:
        for name, (_, hooks) in SCHEDULES.items():
            trajectory = TRAJECTORIES.torch_trajectory(TRAINING, rule(kind), hooks=hooks)
            found |= {f"{name}/{kind}/{key}": trajectory[key] for key in ("losses", "last")}
        trajectory = TRAJECTORIES.torch_trajectory(TRAINING, rule(kind), hooks=MOMENTUM_HOOKS)
        found |= {f"momentum/{kind}/{key}": trajectory[key] for key in ("losses", "last")}
        trajectory = TRAJECTORIES.torch_trajectory(TRAINING, rule(kind), hooks=group_hooks)
        found |= {f"factors/{kind}/{key}": trajectory[key] for key in ("losses", "last")}
    for name, given in PLATEAUS.items():
        rates = []
        trajectory = TRAJECTORIES.torch_trajectory(
            TRAINING, rule("sgd", PLATEAU_RATE), PLATEAU_EPOCHS, plateau_hooks(given, rates)
        )
        found |= {f"plateau/{name}/{key}": trajectory[key] for key in ("losses", "last")}
        found[f"plateau/{name}/rates"] = np.array(rates)
    return found


if __name__ == "__main__":
    np.savez_compressed(PATH, **torch_results())
    print(f"{PATH}: {PATH.stat().st_size} bytes")
