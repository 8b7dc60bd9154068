"""The engine's calls as tests like them: parameters as lists of matrices and of vectors, runs by their arguments."""

from fastmlp.spec import Run

__all__ = ["cut", "gradient_of", "layers_of", "run_steps", "set_layers", "set_states", "states_of"]


def cut(tensors):
    """(weights, vectors): of a network whose layers have nothing else, an array per layer each, the vectors biases."""
    arrays = list(tensors.values())
    return [a for a in arrays if a.ndim == 2], [a for a in arrays if a.ndim == 1]


def layers_of(engine):
    """Copies of (weights, vectors)."""
    return cut(engine.read())


def set_layers(engine, weights, vectors):
    engine.write(named(engine, weights, vectors))


def named(engine, weights, vectors):
    """The inverse of `cut`: tensors by name."""
    matrices, rows = iter(weights), iter(vectors)
    found = {name: next(matrices if name.endswith(".weight") else rows, None) for name in engine.read()}
    return {name: array for name, array in found.items() if array is not None}


def states_of(engine):
    """Copies of the optimizer's state, one (weights, vectors) per slot."""
    return [cut(engine.read(kind)) for kind in engine.kinds if kind.startswith("state.")]


def set_states(engine, states, n_steps=0):
    for slot, (weights, vectors) in enumerate(states):
        engine.write(named(engine, weights, vectors), f"state.{slot}")
    engine.n_steps = n_steps


def gradient_of(engine, X, y, weight, threads):
    """(loss, by weights, by vectors)."""
    gradient = {}
    loss = engine.gradient(X, y, weight, threads, gradient)
    return loss, *cut(gradient)


def run_steps(engine, X, y, order, batch_size, table, weight, losses, threads=0, squared_weights=None):
    return engine.train(Run(X, y, weight, order, batch_size, table, losses, squared_weights), threads)
