"""`fit(mixup=...)` against steps on rows that are mixed by hand; its random shares; cut trainings; what is refused."""

import numpy as np
import pytest
from conftest import parameters
from scipy import stats

import fastmlp
from fastmlp.spec import LOSSES
from fastmlp.train.mixing import shares_of_others

RNG = np.random.default_rng(4)
X, LABELS, WEIGHTS = RNG.normal(size=(10, 3)), RNG.integers(0, 4, 10), RNG.random(10)
MIXING = [name for name, loss in LOSSES.items() if loss.mixes]
CLASSES = [name for name in MIXING if LOSSES[name].labels]


def network(backend, loss="cross_entropy", **arguments):
    return fastmlp.MLP([3, 7, 4], activation="tanh", loss=loss, seed=1, dtype="float64", backend=backend, **arguments)


def targets(loss):
    y = RNG.random((10, LOSSES[loss]().target_width(4))) + 0.1
    return y / y.sum(axis=1, keepdims=True) if LOSSES[loss].distribution else y / 1.1


def mixed(rows, share):
    return rows + share * (np.roll(rows, -1, axis=0) - rows)


@pytest.mark.parametrize("loss", MIXING)
def test_a_training_is_that_of_steps_on_mixed_rows(backend, loss):
    net, by_hand, y = network(backend, loss), network(backend, loss), targets(loss)
    history = net.fit(
        X, y, epochs=2, batch_size=4, shuffle=False, mixup=0.3, sample_weight=WEIGHTS, optimizer=fastmlp.SGD(0.05)
    )
    steps = [slice(0, 4), slice(4, 8), slice(8, 10)] * 2
    losses = []
    for rows, share in zip(steps, shares_of_others(1, 0, 6, 0.3), strict=True):
        batch = (mixed(each[rows], share) for each in (X, y, WEIGHTS))
        losses.append(by_hand.step(*batch, optimizer=fastmlp.SGD(0.05)))
    for found, wanted in zip(net.weights + net.biases, by_hand.weights + by_hand.biases, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    sums = [mixed(WEIGHTS[rows], 0.0).sum() for rows in steps[:3]]
    np.testing.assert_allclose(history.loss[0], np.average(losses[:3], weights=sums), rtol=1e-9)


@pytest.mark.parametrize("loss", CLASSES)
def test_classes_are_mixed_as_the_losses_of_both(backend, loss):
    """And so as rows with a single one, to the bit."""
    net, dense = network(backend, loss), network(backend, loss)
    share = shares_of_others(1, 0, 1, 1.0)[0]
    rows, y = mixed(X, share), np.roll(LABELS, -1)
    wanted = (1 - share) * net.loss_and_grad(rows, LABELS)[0] + share * net.loss_and_grad(rows, y)[0]
    given = {"epochs": 1, "batch_size": 10, "shuffle": False, "mixup": 1.0}
    assert net.fit(X, LABELS, **given).loss[0] == pytest.approx(wanted, rel=1e-12)
    dense.fit(X, np.eye(4)[LABELS], **given)
    assert parameters(net) == parameters(dense)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shares_and_rows_are_those_of_the_updates_behind_it(backend, dtype, tmp_path):
    def fresh():
        return fastmlp.MLP([3, 7, 4], output="softmax", seed=9, dtype=dtype, backend=backend, dropout=0.2)

    whole, cut, given = fresh(), fresh(), {"batch_size": 3, "mixup": 0.4, "class_weight": "balanced"}
    whole.fit(X, LABELS, epochs=4, **given)
    cut.fit(X, LABELS, epochs=1, **given)
    cut.save(tmp_path / "m")
    cut = fastmlp.load(tmp_path / "m", backend=backend)
    cut.fit(X, LABELS, epochs=3, max_steps=5, **given)
    cut.fit(X, LABELS, epochs=3, resume=True, **given)
    assert parameters(cut) == parameters(whole)
    without, none = fresh(), fresh()
    without.fit(X, LABELS, epochs=4, **given | {"mixup": 0})
    none.fit(X, LABELS, epochs=4, batch_size=3, class_weight="balanced")
    assert parameters(without) == parameters(none) != parameters(whole)


@pytest.mark.parametrize("alpha", [1e-300, 0.05, 0.4, 1.0, 3.5, 1e6, 1e300])
def test_shares_are_of_the_symmetric_beta_distribution(alpha):
    shares = shares_of_others(7, 2**40, 4000, alpha)
    assert shares.min() >= 0.0
    assert shares.max() <= 1.0
    if alpha < 0.01:
        assert np.minimum(shares, 1.0 - shares).max() < 1e-15
    elif alpha > 1e6:
        np.testing.assert_allclose(shares, 0.5, atol=1e-9)
    else:
        grid = np.concatenate([10.0 ** -np.arange(1, 12), np.linspace(0.15, 0.85, 29), 1 - 10.0 ** -np.arange(1, 12)])
        below = (shares[:, np.newaxis] <= grid).mean(axis=0)
        assert np.abs(below - stats.beta(alpha, alpha).cdf(grid)).max() < 1.36 / np.sqrt(4000)  # Kolmogorov's, 5 %
    np.testing.assert_allclose(shares.mean(), 0.5, atol=0.03)
    np.testing.assert_array_equal(shares[17:19], shares_of_others(7, 2**40 + 17, 2, alpha))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"mixup": -0.1}, ValueError, "mixup"),
        ({"mixup": "0.2"}, TypeError, "mixup"),
        ({"mixup": None}, TypeError, "mixup"),
        ({"mixup": 0.2, "per_sample": True}, ValueError, "give one of the two"),
        ({"mixup": 0.2, "optimizer": "lbfgs"}, ValueError, "mixup mixes the rows of steps, of which LBFGS makes none"),
    ],
)
def test_what_is_refused(backend, arguments, error, words):
    net = network(backend)
    before = parameters(net)
    with pytest.raises(error, match=words):
        net.fit(X, LABELS, **arguments)
    assert parameters(net) == before


@pytest.mark.parametrize("loss", [name for name in LOSSES if name not in MIXING])
def test_losses_without_anything_between_two_targets_refuse(backend, loss):
    y = LABELS if LOSSES[loss].labels else np.sign(RNG.normal(size=(10, 4)))
    with pytest.raises(ValueError, match=f"mixup must be 0 with the loss '{loss}'"):
        network(backend, loss).fit(X, y, mixup=0.2)
