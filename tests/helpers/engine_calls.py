"""The engine's calls as tests like them: parameters as lists per layer, runs by their arguments."""

from fastmlp.runtime import optimizer_state, set_optimizer_state
from fastmlp.spec import Run, name_tensors, weights_and_biases

__all__ = ["gradient_of", "layers_of", "run_steps", "set_layers", "set_states", "states_of"]


def layers_of(engine):
    """Copies of (weights, biases), lists with an array per layer."""
    return weights_and_biases(engine.read())


def set_layers(engine, weights, biases):
    engine.write(name_tensors(weights, biases))


def states_of(engine):
    """Copies of the optimizer's state, one (weights, biases) per slot."""
    return optimizer_state(engine)


def set_states(engine, states, n_steps=0):
    set_optimizer_state(engine, states, n_steps)


def gradient_of(engine, X, y, weight, threads):
    """(loss, by weights, by biases)."""
    gradient = {}
    loss = engine.gradient(X, y, weight, threads, gradient)
    return loss, *weights_and_biases(gradient)


def run_steps(engine, X, y, order, batch_size, table, weight, losses, threads=0, squared_weights=None):
    return engine.train(Run(X, y, weight, order, batch_size, table, losses, squared_weights), threads)
