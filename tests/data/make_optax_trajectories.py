"""Writes optax_trajectories.npz: trainings in float64 by optimizers that optax has and PyTorch has not.

Run it where optax is installed: python tests/data/make_optax_trajectories.py. tests/reference/test_optax.py holds both
engines to the numbers, without optax. Network and rows are one of make_torch_trajectories.py's trainings.
"""

import importlib.util
from pathlib import Path

import numpy as np


def _trajectories():
    path = Path(__file__).with_name("make_torch_trajectories.py")
    spec = importlib.util.spec_from_file_location("make_torch_trajectories", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRAJECTORIES = _trajectories()
PATH = Path(__file__).with_name("optax_trajectories.npz")
TRAINING = "adamw"  # tanh and identity, the squared error, five epochs of four steps

#: What fastmlp's class is given: its name and hyperparameters; a dictionary is a schedule.
RULES = {
    "lion": {"name": "lion", "learning_rate": 0.01, "weight_decay": 0.5},
    "lion_other_betas": {"name": "lion", "learning_rate": 0.02, "beta1": 0.7, "beta2": 0.8},
    "lion_cosine": {
        "name": "lion", "learning_rate": {"name": "cosine", "value": 0.03, "steps": 20}, "weight_decay": 0.1,
    },
    "schedule_free": {
        "name": "schedule_free_adamw", "learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.5,
    },
    "muon": {
        "name": "muon", "learning_rate": 0.02, "momentum": 0.9, "nesterov": False, "bias_correction": True,
        "epsilon": 1e-8, "weight_decay": 0.5, "adam_lr_ratio": 0.5,
    },
    "muon_nesterov": {
        "name": "muon", "learning_rate": {"name": "cosine", "value": 0.02, "steps": 20}, "bias_correction": True,
        "epsilon": 1e-8, "consistent_rms": 0.2, "ns_steps": 3, "ns_coefficients": [2.0, -1.5, 0.5],
    },
}  # fmt: skip


def _muon(optax, rule, rate):
    """optax's `muon` of a rule for weights; for biases its `adamw`, since beside Nesterov's momentum it has NAdam."""
    matrices = optax.contrib.muon(
        rate,
        tuple(rule.get("ns_coefficients", (3.4445, -4.7750, 2.0315))),
        rule.get("ns_steps", 5),
        beta=rule.get("momentum", 0.95),
        eps=rule["epsilon"],
        weight_decay=rule.get("weight_decay", 0.0),
        nesterov=rule.get("nesterov", True),
        consistent_rms=rule.get("consistent_rms"),
    )
    ratio = rule.get("adam_lr_ratio", 0.05)
    adam = optax.adamw((lambda step: ratio * rate(step)) if callable(rate) else ratio * rate, weight_decay=0.0)
    return optax.partition(
        {"matrices": matrices, "others": adam}, lambda parameters: [("matrices", "others") for _ in parameters]
    )


def _schedule_free(optax, rule):
    """optax's `schedule_free_adamw` of a rule, put together here since that one lets biases decay."""
    optimizer = optax.chain(
        optax.scale_by_rms(rule["beta2"], 1e-8, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(rule["weight_decay"], lambda parameters: [(True, False) for _ in parameters]),
        optax.scale_by_learning_rate(rule["learning_rate"]),
    )
    return optax.contrib.schedule_free(optimizer, rule["learning_rate"], rule["beta1"])


def _optimizer(optax, rule):
    """optax's optimizer of a rule; weights decay, biases do not."""
    if rule["name"] == "schedule_free_adamw":
        return _schedule_free(optax, rule)
    rate = rule["learning_rate"]
    if isinstance(rate, dict):
        rate = optax.cosine_decay_schedule(rate["value"], rate["steps"])
    if rule["name"] == "muon":
        return _muon(optax, rule, rate)
    return optax.lion(
        rate,
        b1=rule.get("beta1", 0.9),
        b2=rule.get("beta2", 0.99),
        weight_decay=rule.get("weight_decay", 0.0),
        mask=lambda parameters: [(True, False) for _ in parameters],
    )


def optax_trajectory(name):
    """Losses before each step, and all parameters after the first and after the last, by JAX and optax alone."""
    import jax
    import optax
    import optax.contrib

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    layers, X, y, _ = TRAJECTORIES.problem(TRAINING)
    parameters = [(jnp.array(W), jnp.array(b)) for W, b in layers]
    optimizer = _optimizer(optax, RULES[name])
    state = optimizer.init(parameters)

    def loss_of(parameters, X, y):
        (W0, b0), (W1, b1) = parameters
        return 0.5 * ((jnp.tanh(X @ W0 + b0) @ W1 + b1 - y) ** 2).sum(axis=1).mean()

    losses, after = [], []
    for rows in TRAJECTORIES.batches():
        loss, gradient = jax.value_and_grad(loss_of)(parameters, X[rows], y[rows])
        updates, state = optimizer.update(gradient, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        losses.append(float(loss))
        weights = parameters
        if RULES[name]["name"] == "schedule_free_adamw":
            weights = optax.contrib.schedule_free_eval_params(state, parameters)
        after.append(np.concatenate([np.ravel(array) for pair in weights for array in pair]))
    return {"losses": np.array(losses), "first": after[0], "last": after[-1]}


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in RULES for key, value in optax_trajectory(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
