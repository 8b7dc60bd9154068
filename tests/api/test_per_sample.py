"""`fit(per_sample=True)`: each row's loss and its gradient's norm are the row's own, in the order of the data."""

import numpy as np
import pytest
from compiled import Engine
from random_networks import fill, targets

import fastmlp
from fastmlp.data import Table
from fastmlp.spec import Adam, NetworkSpec, Run

RESTING = {"optimizer": "sgd", "lr_factors": {"weight": 0.0, "bias": 0.0}}  # weights stay, so all rows see the same
RNG = np.random.default_rng(3)
X = RNG.normal(size=(23, 6))


def network(backend, outputs=3, **arguments):
    return fastmlp.MLP([6, 8, 5, outputs], activation="tanh", dtype="float64", seed=2, backend=backend, **arguments)


def one_by_one(net, X, y):
    """Loss and gradient's norm of each row as a batch of its own."""
    found = [net.loss_and_grad(X[i : i + 1], y[i : i + 1]) for i in range(len(X))]
    norms = [np.sqrt(sum((part**2).sum() for parts in gradients for part in parts)) for _, *gradients in found]
    return [loss for loss, *_ in found], norms


@pytest.mark.parametrize(
    ("arguments", "y"),
    [
        ({}, RNG.normal(size=(23, 3))),
        ({"loss": "mse"}, RNG.normal(size=(23, 3))),
        ({"output": "softmax"}, RNG.integers(0, 3, 23)),
        ({"outputs": 1, "output": "logistic"}, RNG.integers(0, 2, 23)),
        ({"loss": fastmlp.CustomLoss(lambda a, t: (((a - t) ** 4).sum(axis=1), 4 * (a - t) ** 3))},
         RNG.normal(size=(23, 3))),
    ],
    ids=["squared", "mean", "labels", "binary", "own"],
)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_are_those_of_each_row_alone(backend, arguments, y, weighted):
    net = network(backend, **arguments)
    weight = np.where(np.arange(23) == 4, 0.0, RNG.random(23) + 0.5) if weighted else None
    losses, norms = one_by_one(net, X, y)
    net.fit(X, y, epochs=2, batch_size=7, sample_weight=weight, per_sample=True, **RESTING)
    np.testing.assert_allclose(net.per_sample_.losses, losses, rtol=1e-12)
    if weighted:
        norms[4] = np.nan
    np.testing.assert_allclose(net.per_sample_.grad_norms, norms, rtol=1e-9)


def test_rows_of_a_table_keep_their_places(backend, monkeypatch):
    monkeypatch.setattr(Table, "rows_at_once", 9)
    y, net = RNG.normal(size=(23, 3)), network(backend)
    losses, norms = one_by_one(net, X, y)
    net.fit([X[:5], X[5:]], y, epochs=1, batch_size=4, per_sample=True, **RESTING)
    np.testing.assert_allclose(net.per_sample_.losses, losses, rtol=1e-12)
    np.testing.assert_allclose(net.per_sample_.grad_norms, norms, rtol=1e-9)


def test_rows_that_are_held_out_have_none(backend):
    net = network(backend)
    assert net.per_sample_ is None
    net.fit(X, X[:, :3], epochs=1, validation_split=0.25, per_sample=True)
    assert np.isnan(net.per_sample_.losses).sum() == np.isnan(net.per_sample_.grad_norms).sum() == 6
    noted = net.per_sample_
    net.fit(X, X[:, :3], epochs=1)
    assert net.per_sample_ is noted


#: Sizes, batch and rows: whose steps are cut and shared out in every way that there is.
WAYS = {
    "rows": ((13, 21, 5), 40, 100),
    "panels": ((37, 45, 33), 2, 9),
    "microbatches": ((37, 45, 33), 1100, 1500),
    "parts": ((290, 300, 9), 1000, 1300),
}


@pytest.mark.parametrize("way", WAYS)
def test_bits_do_not_depend_on_threads_and_noting_changes_none(way):
    sizes, batch_size, n = WAYS[way]
    spec, results = NetworkSpec.make(sizes, "relu"), set()
    rng = np.random.default_rng(0)
    X, y, order = rng.normal(size=(n, sizes[0])), targets(spec, n), rng.permutation(n)
    steps, trained = -(-n // batch_size), set()
    for threads, noted in ((1, True), (2, True), (3, True), (2, False)):
        engine, losses, per_row = fill(Engine(spec), spec), np.empty(-(-n // batch_size)), np.full((2, n), np.nan)
        engine.use_optimizer("adam")
        notes = {"row_losses": per_row[0], "row_norms": per_row[1]} if noted else {}
        engine.train(Run(X, y, None, order, batch_size, Adam().scalars(0, steps), losses, **notes), threads)
        trained.add(b"".join([losses.tobytes(), *(tensor.tobytes() for tensor in engine.read().values())]))
        if noted:
            results.add(per_row.tobytes())
            assert np.isfinite(per_row).all()
    assert len(trained) == len(results) == 1


def test_lbfgs_has_no_steps_to_note(backend):
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match="per_sample=True notes rows in steps, of which LBFGS makes none"):
        network(backend).fit(X, X[:, :3], optimizer="lbfgs", per_sample=True)
