"""Steps that several processes make: a share of the rows each, whose gradients somebody adds up (fastmlp.spec.Cut)."""

import itertools

import numpy as np
import pytest
from conftest import BACKENDS

import fastmlp
from fastmlp import runtime
from fastmlp.spec import Adam, Cut, Run

STARTS = np.array([0, 13, 19, 26, 26])  # of two steps of two shares, one without rows; batches of 13 + 6 and 7 + 0
ENDS = [0, 19, 26]


def engine(backend, seed=1, **kinds):
    kinds = {"dtype": "float64", "dropout": 0.3, "input_noise": 0.1, "l2": 0.01, **kinds}
    net = fastmlp.MLP([5, 20, 9, 3], output="softmax", seed=seed, backend=backend, **kinds)
    return net._learner


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(30, 5)),
        rng.integers(0, 3, 30).astype(np.int32),
        rng.uniform(0.5, 2, 30),
        rng.permutation(30),
    )


def cut_of(weight, order, exchange):
    sums = np.array([weight[order[a:b]].sum() for a, b in itertools.pairwise(ENDS)])
    return Cut(2, STARTS, np.array([0, 13, 0, 7]), sums, np.zeros(4), exchange)


def added_up(step, gradients):
    gradients[0] += gradients[1]
    return True


def run_of(learner, cut, **options):
    X, y, weight, order = rows()
    learner.use(Adam(0.01))
    steps = len(cut.weight_sums)
    run = Run(X, y, weight, order[:26], 19, learner.optimizer.scalars(0, steps), np.zeros(steps), seed=3, cut=cut)
    for name, value in options.items():
        setattr(run, name, value)
    return run


def trained(backend, threads, exchange=added_up, **options):
    _, _, weight, order = rows()
    learner = engine(backend)
    run = run_of(learner, cut_of(weight, order, exchange), **options)
    return learner.engine, run, learner.engine.train(run, threads)


def alone(backend, **options):
    """The same steps as two runs of a batch each."""
    X, y, weight, order = rows()
    learner = engine(backend)
    learner.use(Adam(0.01))
    losses = np.zeros(2)
    for step, (a, b) in enumerate(itertools.pairwise(ENDS)):
        table = learner.optimizer.scalars(step, 1)
        run = Run(X, y, weight, order[a:b], b - a, table, losses[step : step + 1], seed=3)
        for name, value in options.items():
            setattr(run, name, value)
        learner.engine.train(run, 1)
    return learner.engine, losses


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}], ids=["", "norm", "value"])
def test_the_sum_of_the_shares_is_the_gradient_of_the_batch(backend, options):
    shared, run, outcome = trained(backend, 1, **options)
    single, losses = alone(backend, **options)
    assert (outcome.steps, outcome.status) == (2, "done")
    for name, tensor in shared.read().items():
        np.testing.assert_allclose(tensor, single.read()[name], rtol=0, atol=1e-13)
    sums = run.cut.losses.reshape(2, 2).sum(axis=1) / run.cut.weight_sums
    np.testing.assert_allclose(run.losses + sums, losses, rtol=1e-13)
    assert run.cut.losses[3] == 0.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_an_exchange_each_process_makes_its_own_update(backend):
    _, _, weight, order = rows()
    learner = engine(backend)
    sums = np.array([weight[order[a:b]].sum() for a, b in itertools.pairwise(ENDS)])
    run = run_of(learner, Cut(1, np.array(ENDS), np.array([0, 0]), sums, np.zeros(2)))
    learner.engine.train(run, 1)
    single, losses = alone(backend)
    for name, tensor in learner.engine.read().items():
        np.testing.assert_allclose(tensor, single.read()[name], rtol=0, atol=1e-13)
    np.testing.assert_allclose(run.losses + run.cut.losses / sums, losses, rtol=1e-13)


@pytest.mark.skipif("cython" not in BACKENDS, reason="of threads")
def test_no_bit_depends_on_the_threads():
    tensors = [{**trained("cython", threads)[0].read()} for threads in (1, 2, 3, 5)]
    for other in tensors[1:]:
        for name, tensor in other.items():
            assert tensor.tobytes() == tensors[0][name].tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_exchanges_can_give_a_step_up(backend):
    def second(step, gradients):
        added_up(step, gradients)
        return step < 1

    shared, _, outcome = trained(backend, 1, second)
    assert (outcome.steps, outcome.status) == (1, "non_finite")
    once, _, _ = trained(backend, 1)
    assert shared.n_steps == 1
    assert once.n_steps == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_an_exchange_raises_ends_the_run_before_the_update(backend):
    def lost(step, gradients):
        raise ConnectionError("the network is gone")

    shared, _, outcome = trained(backend, 2, lost)
    assert (outcome.steps, outcome.status, str(outcome.exception)) == (0, "interrupted", "the network is gone")
    before = engine(backend).engine.read()
    for name, tensor in shared.read().items():
        assert tensor.tobytes() == before[name].tobytes()


@pytest.mark.skipif("cython" not in BACKENDS, reason="checked where pointers are taken")
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"starts": np.array([0, 7, 5, 20, 26])}, "share 1 goes from 7 to 5"),
        ({"starts": np.array([0, 7, 7, 20, 27])}, "must from 0 to 26"),
        ({"starts": np.array([0, 7, 7, 20])}, "2 steps of 2 shares"),
        ({"losses": np.zeros(3)}, "2 steps of 2 shares"),
        ({"shares": 65}, "at most 64"),
    ],
)
def test_cuts_that_would_read_elsewhere_are_refused(wrong, word):
    _, _, weight, order = rows()
    learner = engine("cython")
    cut = cut_of(weight, order, added_up)
    for name, value in wrong.items():
        setattr(cut, name, value)
    with pytest.raises(ValueError, match=word):
        learner.engine.train(run_of(learner, cut), 1)


def test_batches_that_are_normalised_as_a_whole_are_not_cut():
    if runtime.load_passes()[0] is None:
        pytest.skip("checked where plans are made")
    _, _, weight, order = rows()
    learner = engine("cython", norm="batch")
    with pytest.raises(ValueError, match="batch norm takes its statistics of whole batches"):
        learner.engine.train(run_of(learner, cut_of(weight, order, added_up)), 1)
