"""L-BFGS in `MLP.fit`: SciPy's own search, what its iterations are to history and callbacks, and how it ends."""

import copy
import importlib.util
import os
import pickle
import signal
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp import LBFGS

scipy_optimize = pytest.importorskip("scipy.optimize")
pytest.importorskip("threadpoolctl")


@pytest.fixture
def problem(backend):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    y = np.stack([np.sin(X[:, 0]) + X[:, 1] ** 2, X[:, 2] * X[:, 3]], axis=1)
    weight = rng.integers(0, 4, 120) / 2.0

    def network(**given):
        return fastmlp.MLP(
            [4, 9, 2], **({"activation": "tanh", "dtype": "float64", "seed": 3} | given), backend=backend
        )

    return network, X, y, weight


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def scipys(net, X, y, weight, decay, **options):
    """SciPy's L-BFGS-B on a network's `loss_and_grad`."""
    shapes = [array.shape for array in (*net.weights, *net.biases)]
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    n_layers, n_weights = len(net.weights), sum(W.size for W in net.weights)
    trial = copy.deepcopy(net)

    def loss_and_grad(x):
        arrays = [x[a:b].reshape(shape) for (a, b), shape in zip(pairwise(ends), shapes, strict=True)]
        trial.weights, trial.biases = arrays[:n_layers], arrays[n_layers:]
        loss, dW, db = trial.loss_and_grad(X, y, weight)
        gradient = flat([*dW, *db])
        gradient[:n_weights] += decay * x[:n_weights]
        return loss + 0.5 * decay * np.dot(x[:n_weights], x[:n_weights]), gradient

    start, curve = flat((*net.weights, *net.biases)), []
    result = scipy_optimize.minimize(
        loss_and_grad, start, jac=True, method="L-BFGS-B", options=options,
        callback=lambda intermediate_result: curve.append(intermediate_result.fun),
    )  # fmt: skip
    return result.x, curve


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_scipys_search_on_loss_and_grad(problem, decay, weighted):
    network, X, y, weight = problem
    net, weight = network(), weight if weighted else None
    wanted, curve = scipys(net, X, y, weight, decay, maxiter=25, gtol=1e-7, ftol=1e-12, maxcor=5)
    history = net.fit(
        X, y, sample_weight=weight, optimizer=LBFGS(25, tol=1e-7, history_size=5, weight_decay=decay, tol_loss=1e-12)
    )
    np.testing.assert_allclose(flat((*net.weights, *net.biases)), wanted, rtol=1e-7, atol=1e-9)
    assert history.epoch == list(range(1, 26))
    assert history.loss[-1] == pytest.approx(net.evaluate(X, y, weight)["loss"], rel=1e-12)
    if decay == 0.0:
        np.testing.assert_allclose(history.loss, curve, rtol=1e-8)
    assert all(later <= earlier for earlier, later in pairwise(curve))


def test_a_linear_network_reaches_the_least_squares(backend):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    net = fastmlp.MLP([3, 1], dtype="float64", init="zeros", backend=backend)
    history = net.fit(X, y, optimizer=LBFGS(100, tol=1e-12, tol_loss=0.0))
    solution = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y, rcond=None)[0]
    np.testing.assert_allclose(np.append(net.weights[0].ravel(), net.biases[0]), solution, rtol=1e-9, atol=1e-10)
    assert len(history.loss) < 100  # tol has ended it


def test_penalties_of_the_network_are_part_of_the_loss_as_ever(problem):
    network, X, y, _ = problem
    decayed = network()
    penalised = fastmlp.MLP([4, 9, 2], activation="tanh", dtype="float64", seed=3, l2=0.01, backend=decayed.backend)
    decayed.fit(X, y, optimizer=LBFGS(20, weight_decay=0.01))
    history = penalised.fit(X, y, optimizer=LBFGS(20))
    np.testing.assert_allclose(flat(penalised.weights), flat(decayed.weights), rtol=1e-7, atol=1e-9)
    assert history.loss[-1] == pytest.approx(penalised.evaluate(X, y)["loss"], rel=1e-12)
    assert history.loss[-1] > decayed.history.loss[-1] + 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads_or_on_hooks(problem, dtype):
    network, X, y, weight = problem
    found = set()
    for threads, callbacks in ((1, []), (2, []), (3, [lambda net, logs: None]), (None, [fastmlp.Callback()])):
        net = network(dtype=dtype)
        history = net.fit(
            X, y, sample_weight=weight, epochs=15, optimizer="lbfgs", threads=threads, callbacks=callbacks,
            validation_data=(X, y) if threads == 2 else None, batch_size=7, shuffle=threads == 1,
        )  # fmt: skip
        found.add((parameters(net), tuple(history.loss)))
    assert len(found) == 1
    assert len(history.loss) == 15


def test_a_float32_network_is_fitted_in_float64(problem):
    network, X, y, _ = problem
    single, double = network(dtype="float32"), network()
    double.weights, double.biases = single.weights, single.biases
    for net in (single, double):
        net.fit(X, y, epochs=30, optimizer=LBFGS())
    for mine, other in zip((*single.weights, *single.biases), (*double.weights, *double.biases), strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, other.astype(np.float32))


def test_iterations_are_epochs_and_the_optimizer_of_steps_stays(problem, tmp_path):
    network, X, y, _ = problem
    net, seen = network(), []
    net.fit(X, y, epochs=2, optimizer=fastmlp.Adam(0.01))
    steps = net.n_steps
    history = net.fit(
        X, y, epochs=3, optimizer="lbfgs", callbacks=[lambda net, logs: seen.append((logs, net.n_epochs))]
    )
    assert history.epoch == [3, 4, 5] == [logs["epoch"] for logs, _ in seen] == [epoch for _, epoch in seen]
    assert history.loss == [logs["loss"] for logs, _ in seen]
    assert min(history.seconds) > 0
    assert net.history.epoch == [1, 2, 3, 4, 5]
    assert (net.n_epochs, net.n_steps, net.optimizer) == (5, steps, fastmlp.Adam(0.01))
    net.save(tmp_path / "m")
    others = [fastmlp.load(tmp_path / "m", backend=net.backend), pickle.loads(pickle.dumps(net))]
    for each in (net, *others):
        each.fit(X, y, epochs=4, optimizer=LBFGS(history_size=3))
        each.fit(X, y, epochs=1)
    assert {parameters(each) for each in others} == {parameters(net)}
    assert (net.n_epochs, net.optimizer) == (10, fastmlp.Adam(0.01))


def test_max_iter_comes_before_epochs(problem):
    network, X, y, _ = problem
    told = []

    class Told(fastmlp.Callback):
        def on_train_begin(self, net, logs):
            told.append((logs["epochs"], logs["optimizer"]))

    for optimizer in (LBFGS(4), LBFGS()):
        assert len(network().fit(X, y, epochs=6, optimizer=optimizer, callbacks=[Told()]).loss) == told[-1][0]
    assert told == [(4, LBFGS(4)), (6, LBFGS())]


def test_callbacks_stop_it_and_go_back(problem):
    network, X, y, _ = problem
    net = network()
    history = net.fit(X, y, epochs=30, optimizer="lbfgs", callbacks=[lambda net, logs: logs["epoch"] == 4])
    assert history.epoch == [1, 2, 3, 4]
    best, kept = fastmlp.EarlyStopping("val_loss", patience=3), []
    overfitted = network()
    history = overfitted.fit(
        X[:10], y[:10], epochs=200, optimizer="lbfgs", validation_data=(X[10:], y[10:]),
        callbacks=[best, lambda net, logs: kept.append(parameters(net))],
    )  # fmt: skip
    assert best.stopped_epoch == history.epoch[-1] < 200
    assert parameters(overfitted) == kept[best.best_epoch - 1]


def test_a_callback_that_changes_parameters_lets_the_search_begin_anew(problem):
    network, X, y, _ = problem

    def halve(net, logs):
        if logs["epoch"] == 3:
            net.weights = [W / 2 for W in net.weights]

    net, byhand = network(), network()
    history = net.fit(X, y, epochs=10, optimizer=LBFGS(), callbacks=[halve])
    byhand.fit(X, y, epochs=3, optimizer=LBFGS())
    byhand.weights = [W / 2 for W in byhand.weights]
    byhand.fit(X, y, epochs=7, optimizer=LBFGS())
    assert parameters(net) == parameters(byhand)
    assert history.loss == byhand.history.loss


def test_an_exception_leaves_the_last_iterate(problem):
    network, X, y, _ = problem
    net, replay = network(), network()

    class Wanted(Exception):
        pass

    def fail(net, logs):
        if logs["epoch"] == 5:
            raise Wanted

    with pytest.raises(Wanted):
        net.fit(X, y, epochs=30, optimizer="lbfgs", callbacks=[fail])
    replay.fit(X, y, epochs=5, optimizer="lbfgs")
    assert (parameters(net), net.n_epochs, len(net.history.loss)) == (parameters(replay), 5, 5)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are sent to a thread")
def test_an_interrupt_leaves_the_last_iterate_which_handlers_see(backend):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20_000, 10)), rng.normal(size=20_000)
    net, replay = (fastmlp.MLP([10, 30, 1], activation="tanh", seed=0, backend=backend) for _ in range(2))
    begun, seen, thread = threading.Event(), [], threading.get_ident()

    def handler(number, frame):
        seen.append((parameters(net), net.n_epochs))
        raise KeyboardInterrupt

    def interrupt():
        begun.wait()
        signal.pthread_kill(thread, signal.SIGUSR1)

    def begin(net, logs):
        if logs["epoch"] == 3:
            begun.set()

    old = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, y, optimizer=LBFGS(1_000_000, tol=0.0, tol_loss=0.0), callbacks=[begin])
    finally:
        begun.set()
        sender.join()
        signal.signal(signal.SIGUSR1, old)
    assert 3 <= net.n_epochs < 1_000_000
    replay.fit(X, y, optimizer=LBFGS(net.n_epochs, tol=0.0, tol_loss=0.0))
    assert seen == [(parameters(net), net.n_epochs)] == [(parameters(replay), replay.n_epochs)]
    assert np.isfinite(net.fit(X, y, epochs=1).loss[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_child_goes_on_to_the_same_bits(problem, tmp_path):
    network, X, y, _ = problem
    net, replay, children = network(), network(), []

    def fork(net, logs):
        if logs["epoch"] == 3:
            children.append(os.fork())

    try:
        net.fit(X, y, epochs=8, optimizer="lbfgs", callbacks=[fork], threads=2)
        (tmp_path / str(children == [0])).write_bytes(parameters(net))
    finally:
        if children == [0]:
            os._exit(0)
    assert os.waitpid(children[0], 0)[1] == 0
    replay.fit(X, y, epochs=8, optimizer="lbfgs")
    assert {(tmp_path / name).read_bytes() for name in ("True", "False")} == {parameters(replay)}


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_losses_that_are_not_finite(backend):
    X, y = np.linspace(0.0, 60.0, 30).reshape(-1, 1), np.linspace(0.0, 3.0, 30)
    net = fastmlp.MLP([1, 1], output="exp", loss="poisson", init="zeros", dtype="float64", backend=backend)
    history = net.fit(X, y, optimizer=LBFGS(200))  # the line search overflows, and goes back
    assert all(later <= earlier for earlier, later in pairwise(history.loss))
    assert history.loss[-1] < 0.6 * history.loss[0]
    net.weights = [[[100.0]]]
    before = parameters(net)
    with pytest.raises(fastmlp.TrainingDiverged, match="the loss is inf where the search begins; .* layer 1 of 1"):
        net.fit(X, y, optimizer="lbfgs")
    assert parameters(net) == before


@pytest.mark.skipif(importlib.util.find_spec("tqdm") is None, reason="the bar is tqdm's")
def test_the_progress_bar_counts_the_rows_of_iterations(problem, capsys):
    network, X, y, _ = problem
    network().fit(X, y, epochs=3, optimizer=LBFGS(5), progress=True)
    assert "600/600" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["scipy", "threadpoolctl"])
def test_without_scipy_the_error_says_what_to_install(problem, monkeypatch, missing):
    network, X, y, _ = problem
    net = network()
    before = parameters(net)
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"not installed: pip install 'fastmlp\[lbfgs\]'"):
        net.fit(X, y, optimizer="lbfgs")
    assert (parameters(net), net.n_epochs) == (before, 0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda net: LBFGS(0), ValueError, "max_iter must be from 1"),
        (lambda net: LBFGS(tol=-1.0), ValueError, "tol must be >= 0"),
        (lambda net: LBFGS(history_size=1.5), TypeError, "history_size must be an integer"),
        (lambda net: LBFGS(gtol=-1.0), ValueError, "gtol: tol must be >= 0"),
        (lambda net: LBFGS(tol=1.0, tolerance_grad=1.0), TypeError, "got tol and tolerance_grad"),
        (lambda net: LBFGS(lr=0.1), TypeError, "unexpected keyword argument 'lr'"),
        (lambda net: net.step([[0, 0]], [0], optimizer=LBFGS()), TypeError, "it is for MLP.fit"),
        (lambda net: net.step([[0, 0]], [0], optimizer="lbfgs"), TypeError, "it is for MLP.fit"),
        (lambda net: setattr(net, "optimizer", LBFGS()), TypeError, "it is for MLP.fit"),
        (lambda net: net.fit([[0, 0]], [0], optimizer="lbfgs", profile=True), ValueError, "LBFGS makes none"),
        (
            lambda net: net.fit([[0, 0]], [0], optimizer="lbfgs", clip_norm=1.0),
            ValueError,
            "clip_norm and clip_value are for steps",
        ),
        (lambda net: net.fit([[0, 0]], [0], optimizer="lbfgs", clip_value=2.0), ValueError, "LBFGS makes none"),
        (lambda net: net.fit([[0, 0]], [0], optimizer="LBFGSS"), ValueError, "optimizer must be one of"),
    ],
)
def test_errors_say_what_is_wrong(backend, make, error, message):
    net = fastmlp.MLP([2, 1], backend=backend)
    with pytest.raises(error, match=message):
        make(net)
    assert (net.n_epochs, net.optimizer) == (0, None)
