"""Gradients of 200 random networks: against central differences of the loss, and against the reference."""

import numpy as np
import pytest
from compiled import Engine
from engine_calls import gradient_of, layers_of, set_layers
from random_networks import HEADS, central_differences, fill, flat, outputs_for, targets

from fastmlp import reference
from fastmlp.spec import ACTIVATION_NAMES, ELU, LeakyReLU, NetworkSpec, Softplus, as_activation

NETWORKS = len(ACTIVATION_NAMES) * len(HEADS)
#: Central differences have an error of STEP^2 and of rounding / STEP; 2e-6 makes both about 1e-11.
STEP = 2e-6
#: No signal is nearer to a kink than this, so that neither the step nor float32's rounding carries one across.
CLEARANCE = 3e-5


def with_parameter(name, rng):
    if name == "leaky_relu":
        return LeakyReLU(rng.choice([0.0, 0.01, 0.3, 1.5]))
    if name == "softplus":
        return Softplus(rng.choice([0.5, 1.0, 3.0]))
    return ELU(rng.choice([0.5, 1.0, 2.0])) if name == "elu" else as_activation(name)


class Problem:
    """Network number `number`; NETWORKS of them pair every activation with every head."""

    def __init__(self, number):
        rng = np.random.default_rng(number)
        names = list(ACTIVATION_NAMES)
        first = names[number % len(names)]
        loss, output = HEADS[number // len(names) % len(HEADS)]
        # Sign units hide all layers below them from the gradient, and exp of exp overflows: one of them at most.
        others = [name for name in names if name not in {"sign", "exp"}]
        depth = rng.integers(1, 6)
        hidden = [first, *rng.choice(others, depth - 1)]
        widths = [int(np.exp(rng.uniform(0, np.log(130.99)))) for _ in range(depth + 2)]
        widths[number % (depth + 2)] = rng.integers(100, 131)
        widths[-1] = outputs_for(loss, widths[-1])
        if loss == "cosine":  # of one number there is no direction: gradients are rounding errors alone
            widths[-1] = max(widths[-1], 2)
        *activations, last = [with_parameter(name, rng) for name in (*hidden, output)]
        dtypes = ("float64", "float32")
        self.specs = {dtype: NetworkSpec.make(widths, activations, last, loss, dtype) for dtype in dtypes}
        spec = self.specs["float64"]
        self.kinks = [np.array(layer.activation.kinks) for layer in spec.layers]
        self.batch = int(rng.integers(1, 71))
        self.y = targets(spec, self.batch, number, labels=loss == "cross_entropy" and number % 2 == 0)
        self.weight = None if number % 3 else rng.integers(1, 9, self.batch) * rng.integers(0, 2, self.batch) + 0.0
        if self.weight is not None:
            self.weight[0] = 1.0
        if self.y.ndim == 2:
            self.y = self.y.astype("float32").astype("float64")
        single = Engine(self.specs["float32"])
        for attempt in range(1000):
            self.parameters = layers_of(fill(single, self.specs["float32"], number + NETWORKS * attempt))
            self.X = rng.normal(size=(self.batch, widths[0])).astype("float32").astype("float64")
            engine = self.engine(Engine, "float64")
            clear = all(np.abs(z[..., None] - kinks).min() > CLEARANCE for z, kinks in self.kinked_signals(engine))
            signals = zip(engine.trace(self.X, None, 1)[0], spec.layers, strict=True)
            if clear and all(z.max() < (20 if layer.activation.name == "exp" else 100) for z, layer in signals):
                break  # beyond, the error of a difference would be larger
        else:
            pytest.fail("every draw came near a kink")

    def engine(self, kind, dtype):
        made = kind(self.specs[dtype])
        set_layers(made, *([array.astype(dtype) for array in arrays] for arrays in self.parameters))
        return made

    def kinked_signals(self, engine):
        signals = engine.trace(self.X, None, 1)[0]
        return [(z, kinks) for z, kinks in zip(signals, self.kinks, strict=True) if kinks.size]

    def sides(self, engine):
        """On which side of its kinks each signal is."""
        return b"".join(np.searchsorted(kinks, z).tobytes() for z, kinks in self.kinked_signals(engine))


def sample(gradient, rng):
    """Places of the largest entries, whose norm makes the comparison well conditioned, and of entries at random."""
    largest = np.argsort(-np.abs(gradient))[:8]
    return np.unique(np.concatenate([largest, rng.integers(0, gradient.size, 12)]))


def slopes_of(problem, engine, places):
    """Slopes of the weighted mean loss by the parameters at these places of the flat vector."""
    out, sides = np.empty((problem.batch, problem.specs["float64"].sizes[-1])), problem.sides(engine)
    weight = np.ones(problem.batch) if problem.weight is None else problem.weight

    def losses():
        row_loss = np.empty(problem.batch)
        engine.evaluate(problem.X, problem.y, out, row_loss, 1)
        if sides:
            assert problem.sides(engine) == sides, "a step crossed a kink: CLEARANCE is too small"
        return weight * row_loss / weight.sum()

    return central_differences(engine, losses, STEP, places)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), np.finfo(float).tiny)


@pytest.mark.parametrize("number", range(NETWORKS))
def test_gradient_of_a_random_network(number):
    problem = Problem(number)
    threads = 1 + number % 3
    engine = problem.engine(Engine, "float64")
    loss, *gradient = gradient_of(engine, problem.X, problem.y, problem.weight, threads)
    gradient = flat(gradient)
    places = sample(gradient, np.random.default_rng(number))
    slopes = slopes_of(problem, engine, places)
    assert relative(gradient[places], slopes) <= 1e-6

    oracle = problem.engine(reference.Engine, "float64")
    wanted_loss, *pieces = gradient_of(oracle, problem.X, problem.y, problem.weight, threads)
    wanted = flat(pieces)
    assert loss == pytest.approx(wanted_loss, rel=1e-12)
    assert relative(gradient, wanted) <= 1e-12

    # The same float32 numbers, so what differs is the arithmetic alone.
    single = problem.engine(Engine, "float32")
    single_loss, *pieces = gradient_of(single, problem.X, problem.y, problem.weight, threads)
    assert single_loss == pytest.approx(wanted_loss, rel=1e-5)
    assert relative(flat(pieces).astype("float64"), wanted) <= 1e-5


def test_the_networks_pair_every_activation_with_every_head():
    names = list(ACTIVATION_NAMES)
    pairs = {(number % len(names), number // len(names) % len(HEADS)) for number in range(NETWORKS)}
    assert len(pairs) == len(names) * len(HEADS)
    problems = [Problem(number) for number in range(0, NETWORKS, 7)]
    assert {len(p.specs["float64"].sizes) - 2 for p in problems} == {1, 2, 3, 4, 5}
    widths = {width for p in problems for width in p.specs["float64"].sizes}
    assert min(widths) <= 2
    assert max(widths) > 120
