"""PyTorch's EmbeddingBag(sparse=True), stored (tests/data/make_torch_lazy.py): `lazy=True` does the same."""

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.spec import OPTIMIZERS

sparse = pytest.importorskip("scipy.sparse")


STORED = script("make_torch_lazy")


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return arrays[f"{name}/losses"], arrays[f"{name}/after"]


def network(name, backend):
    hidden, *_ = STORED.TRAININGS[name]
    layers, X, y = STORED.problem(name)
    net = fastmlp.MLP(
        [STORED.N_INPUTS, *hidden, 3], activation="tanh", output="softmax", dtype="float64", backend=backend
    )
    net.weights, net.biases = [W for W, _ in layers], [b for _, b in layers]
    return net, sparse.csr_array(X), y


def flat(net):
    return np.concatenate([array.ravel() for pair in zip(net.weights, net.biases, strict=True) for array in pair])


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_steps_are_those_of_a_sparse_embedding_bag(name, backend):
    net, X, y = network(name, backend)
    _, rule, arguments, *_ = STORED.TRAININGS[name]
    losses, after = [], []
    for rows in STORED.batches():
        losses.append(net.step(X[rows], y[rows], optimizer=OPTIMIZERS[rule](**arguments), lazy=True))
        after.append(flat(net))
    np.testing.assert_allclose(losses, stored(name)[0], rtol=1e-11)
    np.testing.assert_allclose([after[step] for step in STORED.KEPT], stored(name)[1], rtol=1e-11, atol=1e-12)


def test_the_exact_update_would_not_pass(backend):
    net, X, y = network("adam", backend)
    net.fit(X, y, epochs=STORED.EPOCHS, batch_size=STORED.BATCH, shuffle=False, optimizer=fastmlp.Adam(0.02))
    assert np.abs(flat(net) - stored("adam")[1][-1]).max() > 1e-3
