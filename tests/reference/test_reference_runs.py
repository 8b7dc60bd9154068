"""The NumPy engine's runs of training steps: resumed, weighted, interrupted, of any source; its other calls."""

import itertools
import signal
import threading

import numpy as np
import pytest
from engine_calls import gradient_of, layers_of, run_steps, set_layers, set_states, states_of
from random_networks import (
    HEADS,
    SOURCES,
    every_optimizer,
    fill,
    flat,
    targets,
)

from fastmlp.reference import Engine, permutation, predict
from fastmlp.spec import SGD, Adam, NetworkSpec, Outcome


def engine(spec, seed=0):
    return fill(Engine(spec), spec, seed)


def problem(dtype="float32", seed=11, n=100):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 5)).astype(dtype), rng.integers(0, 3, n).astype(np.int32)
    return engine(NetworkSpec.make([5, 8, 3], loss="cross_entropy", dtype=dtype)), X, y


@pytest.mark.parametrize(**every_optimizer)
def test_stopped_and_resumed_is_not_stopped(optimizer):
    whole, X, y = problem()
    order, losses = permutation(1, 0, 100), np.empty(15)
    whole.use_optimizer(optimizer.name)
    run_steps(whole, X, y, order, 7, optimizer.scalars(0, 15), None, losses, 0)

    first, _, _ = problem()
    first.use_optimizer(optimizer.name)
    run_steps(first, X, y, order[:42], 7, optimizer.scalars(0, 6), None, np.empty(6), 0)
    second, rest = Engine(NetworkSpec.make([5, 8, 3], loss="cross_entropy")), np.empty(9)
    second.use_optimizer(optimizer.name)
    set_layers(second, *layers_of(first))
    set_states(second, states_of(first))
    second.n_steps = first.n_steps
    run_steps(second, X, y, order[42:], 7, optimizer.scalars(6, 9), None, rest, 0)
    assert flat(layers_of(second)).tobytes() == flat(layers_of(whole)).tobytes()
    assert rest.tobytes() == losses[6:].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_learns_and_keeps_its_dtype(dtype):
    net, X, _ = problem(dtype)
    y = np.argmax(X[:, :3], axis=1).astype(np.int32)
    net.use_optimizer("adam")
    losses, n = np.empty(400), 100
    order = np.concatenate([permutation(0, e, n) for e in range(50)])[: 400 * 12]
    assert run_steps(net, X, y, order, 12, Adam(0.02).scalars(0, 400), None, losses, 0).status == "done"
    assert losses[-20:].mean() < 0.2 * losses[:20].mean()
    out, row_loss = np.empty((n, 3), dtype), np.empty(n)
    net.evaluate(X, y, out, row_loss, 0)
    assert np.mean(out.argmax(axis=1) == y) > 0.95
    for array in [*itertools.chain.from_iterable(layers_of(net)), *states_of(net)[1][0]]:
        assert array.dtype == dtype


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "read-only"])
def test_sources_of_any_dtype_and_layout(source, layout):
    rng = np.random.default_rng(12)
    X, y = rng.integers(0, 9, (40, 4)).astype(source), rng.integers(0, 2, (40, 2)).astype(source)
    spec = NetworkSpec.make([4, 3, 2])

    def laid_out(a):
        if layout == "F":
            return np.asfortranarray(a)
        if layout == "strided":
            return np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3]
        if layout == "reversed":
            return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]
        a.flags.writeable = layout != "read-only"
        return a

    answers = []
    for data in ((X.astype("f4"), y.astype("f4")), (laid_out(X), laid_out(y))):
        net = engine(spec)
        net.use_optimizer("sgd")
        losses, out = np.empty(5), np.empty((40, 2), "f4")
        run_steps(net, *data, permutation(0, 0, 40), 9, SGD(0.001).scalars(0, 5), None, losses, 0)
        net.predict(data[0], out, 0)
        answers.append((losses.tobytes(), out.tobytes(), flat(layers_of(net)).tobytes()))
    assert answers[0] == answers[1]


def test_squared_weights_are_squared_weights_before_each_update():
    net, X, y = problem("float64")
    net.use_optimizer("sgd")
    order, rows, squared_weights = np.arange(100), SGD(0.1).scalars(0, 10), np.empty(10)
    before = sum(float((W**2).sum()) for W in layers_of(net)[0])
    run_steps(net, X, y, order[:90], 10, rows[:9], None, np.empty(9), 0, squared_weights[:9])
    between = sum(float((W**2).sum()) for W in layers_of(net)[0])
    run_steps(net, X, y, order[90:], 10, rows[:1], None, np.empty(1), 0, squared_weights[9:])
    assert squared_weights[0] == pytest.approx(before, rel=1e-12)
    assert squared_weights[9] == pytest.approx(between, rel=1e-12)


def test_a_velocity_remembers_past_rates():
    """scikit-learn's rule: velocity = momentum velocity - rate gradient, with a rate that changes."""
    rates, momentum = [0.3, 0.1, 0.2], 0.5
    net, oracle = (engine(NetworkSpec.make([2, 1], dtype="float64")) for _ in range(2))
    rng = np.random.default_rng(14)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
    net.use_optimizer("sgd")
    scalars = np.array([[1.0, momentum, 1.0, rate, 0.0, 0.0] for rate in rates])
    run_steps(net, X, y, np.arange(12), 4, scalars, None, np.empty(3), 0)
    w = [*itertools.chain.from_iterable(layers_of(oracle))]
    velocity = [np.zeros_like(a) for a in w]
    for step, rate in enumerate(rates):
        rows = slice(4 * step, 4 * step + 4)
        gradient = itertools.chain.from_iterable(gradient_of(oracle, X[rows], y[rows], None, 0)[1:])
        for i, g in enumerate(gradient):
            velocity[i] = momentum * velocity[i] - rate * g
            w[i] = w[i] + momentum * velocity[i] - rate * g
        set_layers(oracle, w[:1], w[1:])
    np.testing.assert_allclose(flat(layers_of(net)), flat(layers_of(oracle)), rtol=1e-12)


def test_batches_of_growing_and_shrinking_size():
    net, X, y = problem("float64")
    alone = {}
    for n in (1, 7, 100, 32, 7, 1):
        loss, *gradient = gradient_of(net, X[:n], y[:n], None, 0)
        fresh = gradient_of(problem("float64")[0], X[:n], y[:n], None, 0)
        assert loss == fresh[0]
        np.testing.assert_array_equal(flat(gradient), flat(fresh[1:]))
        assert alone.setdefault(n, loss) == loss


def test_a_step_allocates_nothing_that_grows_with_the_batch():
    tracemalloc = pytest.importorskip("tracemalloc")
    rng, rows, width = np.random.default_rng(13), 512, 128
    net = engine(NetworkSpec.make([width, width, width]))
    net.use_optimizer("adam")
    X, y = (rng.normal(size=(4 * rows, width)).astype("f4") for _ in range(2))
    order, h, losses = permutation(0, 0, 4 * rows), Adam().scalars(0, 4), np.empty(4)
    run_steps(net, X, y, order, rows, h, None, losses, 0)
    tracemalloc.start()
    try:
        run_steps(net, X, y, order, rows, h, None, losses, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows * width * 4 / 2  # half of the smallest matrix of a step


def test_equal_weights_are_none():
    net, X, y = problem("float64")
    plain, weighted = (gradient_of(net, X, y, weight, 0) for weight in (None, np.full(100, 3.5)))
    assert plain[0] == pytest.approx(weighted[0], rel=1e-14)
    np.testing.assert_allclose(flat(plain[1:]), flat(weighted[1:]), rtol=1e-10, atol=1e-15)


def test_a_weight_of_two_is_the_row_twice():
    net, X, y = problem("float64")
    twice = np.r_[0:100, 3]
    weight = np.ones(100)
    weight[3] = 2.0
    one, two = gradient_of(net, X, y, weight, 0), gradient_of(net, X[twice], y[twice], None, 0)
    assert one[0] == pytest.approx(two[0], rel=1e-13)
    np.testing.assert_allclose(flat(one[1:]), flat(two[1:]), rtol=1e-10, atol=1e-15)


def test_a_batch_without_weight_teaches_nothing():
    net, X, y = problem()
    before, losses = flat(layers_of(net)), np.empty(2)
    weight = np.r_[np.zeros(50), np.ones(50)]
    net.use_optimizer("sgd")
    assert run_steps(net, X, y, np.arange(50), 25, SGD(0.1).scalars(0, 2), weight, losses, 0).status == "done"
    assert losses.tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(flat(layers_of(net)), before)
    loss, *gradient = gradient_of(net, X[:50], y[:50], weight[:50], 0)
    assert loss == 0.0
    assert not flat(gradient).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_before_the_update(bad):
    net, X, y = problem()
    net.use_optimizer("adam")
    X[70, 2] = bad
    losses = np.full(10, -1.0)
    run = run_steps(net, X, y, np.arange(100), 10, Adam().scalars(0, 10), None, losses, 0)
    assert run == Outcome(7, "non_finite", None)
    assert not np.isfinite(losses[7])
    assert (losses[8:] == -1.0).all()
    other, _, _ = problem()
    other.use_optimizer("adam")
    run_steps(other, X, y, np.arange(70), 10, Adam().scalars(0, 7), None, np.empty(7), 0)
    np.testing.assert_array_equal(flat(layers_of(net)), flat(layers_of(other)))


def test_trace_agrees_with_prediction_and_gradient():
    rng, n = np.random.default_rng(14), predict.ROWS + 30
    for loss, output in HEADS:
        spec = NetworkSpec.make([4, 5, 3, 2], ["elu", "logistic"], output, loss, "float64")
        net = engine(spec)
        X, y = rng.normal(size=(n, 4)), targets(spec, n)
        signals, outputs, deltas = net.trace(X, y, 0)
        assert [z.shape for z in signals] == [a.shape for a in outputs] == [d.shape for d in deltas]
        out, row_loss = np.empty((n, 2)), np.empty(n)
        net.evaluate(X, y, out, row_loss, 0)
        spec.loss.finish(outputs[-1])
        np.testing.assert_allclose(outputs[-1], out, rtol=1e-12)
        predicted = np.empty((n, 2))
        net.predict(X, predicted, 0)
        np.testing.assert_allclose(predicted, out, rtol=1e-12, atol=1e-300)
        mean, dW, db = gradient_of(net, X, y, None, 0)
        assert mean == pytest.approx(row_loss.mean(), rel=1e-12)
        biases = db[: len(dW)]  # behind them, the last layer may have slopes
        for a, d, gW, gb in zip([X, *outputs[:-1]], deltas, dW, biases, strict=True):
            np.testing.assert_allclose(a.T @ d / n, gW, rtol=1e-9, atol=1e-13)
            np.testing.assert_allclose(d.mean(axis=0), gb, rtol=1e-9, atol=1e-13)
        assert net.trace(X, None, 0)[2] is None


def test_no_rows():
    net, X, _ = problem()
    out = np.empty((0, 3), "f4")
    net.predict(X[:0], out, 0)
    net.use_optimizer("sgd")
    run = run_steps(net, X, X, np.empty(0, np.int64), 5, np.empty((0, 4)), None, np.empty(0), 0)
    assert run == Outcome(0, "done", None)


def test_parameters_and_state_are_copies():
    net, _, _ = problem()
    net.use_optimizer("adam")
    for get in (lambda: layers_of(net), lambda: states_of(net)[0]):
        get()[0][0].fill(7.0)
        assert not (get()[0][0] == 7.0).any()
    net.use_optimizer(None)
    assert states_of(net) == []
    assert net.isa == "numpy"
    assert not flat(layers_of(Engine(NetworkSpec.make([3, 2]), isa="avx2"))).any()


def test_training_needs_an_optimizer():
    net, X, y = problem()
    with pytest.raises(RuntimeError, match="use_optimizer"):
        run_steps(net, X, y, np.arange(5), 5, np.empty((1, 4)), None, np.empty(1), 0)


# --- interruption ----------------------------------------------------------------------------------------------------


class AlarmError(Exception):
    pass


class Ringing(np.ndarray):
    """Losses of which one sends a signal while it is written: in the middle of its step, whatever the machine does."""

    def __setitem__(self, step, value):
        super().__setitem__(step, value)
        if step == self.moment:
            signal.raise_signal(self.number)


def ringing(steps, moment, number):
    losses = np.full(steps, np.nan).view(Ringing)
    losses.moment, losses.number = moment, number
    return losses


@pytest.mark.parametrize("number", [signal.SIGINT, getattr(signal, "SIGALRM", signal.SIGINT)])
@pytest.mark.parametrize("moment", [0, 37, 99])
def test_what_a_signal_handler_raises_stops_after_a_whole_step(moment, number):
    steps = 100
    net, X, y = problem()
    net.use_optimizer("adam")
    order, h = np.random.default_rng(15).integers(0, 100, 10 * steps), Adam().scalars(0, steps)
    losses, error = ringing(steps, moment, number), AlarmError("now")

    def handler(*_):
        raise error

    kept = signal.signal(number, handler)
    try:
        run = run_steps(net, X, y, order, 10, h, None, losses, 0)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, kept)
    assert run.status == "interrupted"
    assert run.exception is error
    assert run.steps == moment + 1
    assert np.isfinite(losses[: run.steps]).all()
    assert np.isnan(losses[run.steps :]).all()
    again, _, _ = problem()
    again.use_optimizer("adam")
    run_steps(again, X, y, order[: 10 * run.steps], 10, h[: run.steps], None, np.empty(run.steps), 0)
    assert flat(layers_of(again)).tobytes() == flat(layers_of(net)).tobytes()


def test_a_signal_handler_that_returns_does_not_stop():
    net, X, y = problem()
    net.use_optimizer("sgd")
    calls, steps = [], 100
    losses = ringing(steps, 37, signal.SIGINT)
    kept = signal.signal(signal.SIGINT, lambda number, frame: calls.append((number, np.isfinite(losses).sum())))
    try:
        order = np.random.default_rng(0).integers(0, 100, 10 * steps)
        run = run_steps(net, X, y, order, 10, SGD().scalars(0, steps), None, losses, 0)
    finally:
        signal.signal(signal.SIGINT, kept)
    assert (run.status, run.steps) == ("done", steps)
    assert calls == [(signal.SIGINT, 38)]


def test_engines_in_several_threads_and_one_engine_in_several():
    def train(net, X, y):
        losses = np.empty(10)
        run_steps(net, X, y, np.arange(100), 10, Adam().scalars(0, 10), None, losses, 0)

    def run(nets):
        workers = [threading.Thread(target=train, args=each) for each in nets]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    problems, alone = [problem() for _ in range(4)], problem()
    for net, _, _ in [*problems, alone]:
        net.use_optimizer("adam")
    run(problems)
    train(*alone)
    for net, _, _ in problems:
        assert flat(layers_of(net)).tobytes() == flat(layers_of(alone[0])).tobytes()
    run([problems[0]] * 2)
    train(*alone)
    train(*alone)
    assert flat(layers_of(problems[0][0])).tobytes() == flat(layers_of(alone[0])).tobytes()


def test_a_forked_child_makes_its_buffers_anew():
    """Another thread of the parent may have been at it: here it had noted their size, and not yet made them."""
    net, X, _ = problem()
    wanted = np.empty((len(X), layers_of(net)[1][-1].size), layers_of(net)[1][-1].dtype)
    net.predict(X, wanted)
    child, _, _ = problem()
    out = np.empty_like(wanted)
    child.predict(X[:3], out[:3])
    child._plan.workspace._capacity = len(X)
    assert child.forked()
    child.predict(X, out)
    np.testing.assert_array_equal(out, wanted)
