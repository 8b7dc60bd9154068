"""Normalised hidden layers: PyTorch's trajectories, slopes, the same bits however a step is shared out, and files."""

import copy
import pickle

import numpy as np
import pytest
from compiled import ISAS, Engine
from random_networks import targets
from stored import script

import fastmlp
from fastmlp.spec import NORM_NAMES, Adam, NetworkSpec, Run

#: Sizes, batch, rows and an activation that keeps outputs or signals, or needs whole rows: steps are cut and shared out
#: in every way.
WAYS = {
    "few rows": ((37, 45, 45, 33), 1, 5, "silu"),
    "rows": ((13, 70, 3, 70, 5), 40, 100, "relu"),
    "panels": ((37, 145, 145, 33, 3), 2, 9, "tanh"),
    "whole rows": ((37, 145, 33, 3), 20, 50, "softmax"),
    "two microbatches": ((5, 3, 3, 1), 300, 700, "silu"),
    "parts": ((290, 300, 9), 400, 500, "relu"),
}
each_norm = pytest.mark.parametrize("norm", NORM_NAMES)


STORED = script("make_torch_norm")


def learnt(net):
    """All that a network has learnt, in one vector."""
    return np.concatenate([array.ravel() for array in net._tensors().values()])


def random_net(norm, sizes, backend="cython", seed=0, **how):
    """A network whose vectors are random, too."""
    net, rng = (
        fastmlp.MLP(sizes, norm=norm, dtype="float64", seed=seed, backend=backend, **how),
        np.random.default_rng(7),
    )
    net._set_tensors(
        {name: rng.uniform(0.5, 1.5, array.shape) for name, array in net._tensors().items() if array.ndim == 1}
    )
    return net


def test_every_norm_has_a_stored_training():
    assert STORED.NORMS == NORM_NAMES


@pytest.mark.parametrize(("norm", "activation"), STORED.TRAININGS)
def test_steps_are_pytorchs(norm, activation, backend):
    net = fastmlp.MLP(STORED.SIZES, activation=activation, dtype="float64", backend=backend, norm=norm)
    layers, X, y = STORED.problem()
    net.weights, net.biases, gammas = zip(*layers, strict=True)
    net.gammas = gammas[:-1]
    rows = map(STORED.rows_of, range(STORED.STEPS))
    losses = [net.step(X[part], y[part], optimizer=fastmlp.Adam(0.02)) for part in rows]
    found = np.concatenate([net.predict(X).ravel(), learnt(net)])
    with np.load(STORED.PATH) as wanted:
        np.testing.assert_allclose(losses, wanted[f"{norm}/{activation}/losses"], rtol=1e-10)
        np.testing.assert_allclose(found, wanted[f"{norm}/{activation}/last"], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("norm", "activation"), STORED.TRAININGS)
def test_what_is_stored_is_what_pytorch_says(norm, activation):
    pytest.importorskip("torch")
    with np.load(STORED.PATH) as wanted:
        for key, array in STORED.torch_trajectory(norm, activation).items():
            np.testing.assert_allclose(array, wanted[f"{norm}/{activation}/{key}"], rtol=1e-11, atol=1e-12)


def test_an_average_is_of_statistics_too(backend):
    """Of a mean of 0 and a variance of 1 at the beginning, and of what one step makes of them."""
    net, rng = fastmlp.MLP([3, 5, 2], norm="batch", dtype="float64", seed=0, backend=backend), np.random.default_rng(0)
    net.fit(rng.normal(2, 3, (20, 3)), rng.normal(size=(20, 2)), epochs=1, batch_size=20, ema=0.75)
    ((mean, variance),), ((kept_mean, kept_variance),) = net.averaged().running_statistics, net.running_statistics
    np.testing.assert_allclose(mean, 0.25 * kept_mean, rtol=1e-12)
    np.testing.assert_allclose(variance, 1 + 0.25 * (kept_variance - 1), rtol=1e-12)
    assert abs(kept_mean).min() > 0


# ---- tapes ----------------------------------------------------------------------------------------------------------


@each_norm
def test_a_tape_is_pulled_back_again(norm, backend):
    net, rng = random_net(norm, [5, 40, 9, 3], backend), np.random.default_rng(3)
    engine, outputs, found = net._learner.engine, np.empty((70, 3)), []
    tape = engine.forward(rng.normal(size=(70, 5)), outputs, 2)
    by_outputs = rng.normal(size=(70, 3))
    for threads, factor in ((1, 1.0), (2, 2.0), (3, 1.0)):
        gradient, by_inputs = np.empty(net.n_parameters), np.empty((70, 5))
        engine.backward(tape, by_outputs * factor, gradient, by_inputs, threads)
        found.append(np.concatenate([gradient, by_inputs.ravel()]) / factor)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


# ---- slopes ---------------------------------------------------------------------------------------------------------


def slopes(net, loss):
    """Central differences by all parameters."""
    start, found = net.get_flat(), []
    for place, value in enumerate(start):
        losses = []
        for side in (1e-5, -1e-5):
            flat = start.copy()
            flat[place] = value + side
            net.set_flat(flat)
            losses.append(loss())
        found.append((losses[0] - losses[1]) / 2e-5)
    net.set_flat(start)
    return np.array(found)


@each_norm
@pytest.mark.parametrize("activation", ["tanh", "gelu", "softmax"])
def test_gradients_are_slopes(norm, activation, backend):
    """With a batch norm, by the statistics that are kept."""
    activation = "softplus" if (norm, activation) == ("batch", "softmax") else activation
    net = random_net(norm, [3, 4, 4, 2], backend, activation=activation, residual=True)
    rng = np.random.default_rng(0)
    X, y, gradient = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), np.empty(net.n_parameters)
    loss, dW, db = net.loss_and_grad(X, y, out=gradient)
    wanted = slopes(net, lambda: net.evaluate(X, y)["loss"])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(gradient[:16], [*dW[0].ravel(), *db[0]])
    by_outputs = net.forward(X) - y
    *_, by_inputs = net.backward(by_outputs / 5, out=gradient, input_gradient=True)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(by_inputs * 5, net.input_gradient(X, y), rtol=1e-12, atol=1e-13)
    trace = net.trace(X, y)
    np.testing.assert_allclose(X.T @ trace.sensitivities[0] / 5, dW[0], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(trace.signals[0], X @ net.weights[0], rtol=1e-12)
    assert net.evaluate(X, y)["loss"] == pytest.approx(loss, rel=1e-14)


@each_norm
def test_a_step_with_dropout_goes_down_its_slope(norm, backend):
    net = random_net(norm, [3, 4, 4, 2], backend, activation="silu", residual=True, dropout=[0.3, 0.4])
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    start = net._tensors()

    def step(rate):
        """The loss of one step, the first: its masks are the same every time."""
        loss = net.step(X, y, optimizer=fastmlp.SGD(rate))
        net.reset_optimizer()
        return loss

    wanted = slopes(net, lambda: step(1e-300))
    net._set_tensors(start)
    before = net.get_flat()
    step(1.0)
    np.testing.assert_allclose(before - net.get_flat(), wanted, rtol=1e-6, atol=1e-8)


def test_norms_of_rows_gradients_have_those_by_gamma(backend):
    net = random_net("layer", [3, 5, 5, 2], backend, activation="tanh")
    rng, gradient = np.random.default_rng(0), np.empty(net.n_parameters)
    X, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    wanted = []
    for row in range(9):
        net.loss_and_grad(X[row : row + 1], y[row : row + 1], out=gradient)
        wanted.append(np.linalg.norm(gradient))
    net.fit(X, y, epochs=1, batch_size=9, per_sample=True, optimizer=fastmlp.SGD(0.1))
    np.testing.assert_allclose(net.per_sample_.grad_norms, wanted, rtol=1e-12)


# ---- bits -----------------------------------------------------------------------------------------------------------


def outcome(spec, isa, batch_size, n, threads):
    """All that comes of an epoch, by weights and clipping too, and predictions together and by few rows."""
    rng = np.random.default_rng(n)
    engine = Engine(spec, isa)
    engine.write({name: rng.uniform(0.5, 1.5, shape).astype(spec.dtype) for name, shape in spec.all_shapes.items()})
    X, y = rng.normal(size=(n, spec.sizes[0])).astype(spec.dtype), targets(spec, n)
    losses = np.full(-(-n // batch_size), np.nan)
    engine.use_optimizer("adam")
    table = Adam(0.01).scalars(0, len(losses))
    run = Run(X, y, rng.random(n), rng.permutation(n), batch_size, table, losses, seed=3, clip_norm=0.5)
    assert engine.train(run, threads).status == "done"
    out, few = np.empty((n, spec.sizes[-1]), spec.dtype), np.empty((2, spec.sizes[-1]), spec.dtype)
    engine.predict(X, out, threads)
    engine.predict(X[:2], few, threads)
    np.testing.assert_array_equal(few, out[:2])
    gradient = {}
    loss = engine.gradient(X, y, None, threads, gradient)
    parts = [losses, out, loss, *gradient.values()]
    parts += [array for kind in ("parameters", "state.0", "state.1") for array in engine.read(kind).values()]
    assert all(np.isfinite(part).all() for part in parts)
    return [np.asarray(part).tobytes() for part in parts]


@each_norm
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_same_bits_on_every_isa_and_number_of_threads(norm, way):
    sizes, batch_size, n, activation = way
    activation = "elu" if (norm, activation) == ("batch", "softmax") else activation
    spec = NetworkSpec.make(sizes, activation, norm=norm, dropout=0.2)
    first = outcome(spec, ISAS[0], batch_size, n, 1)
    for isa in ISAS:
        for threads in (2, 5) if isa == ISAS[0] else (3,):
            assert outcome(spec, isa, batch_size, n, threads) == first, (isa, threads)


@each_norm
def test_a_saved_training_goes_on_to_the_same_bits(norm, tmp_path, backend):
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.random.default_rng(1).normal(size=30)
    net = fastmlp.MLP([4, 6, 6, 1], norm=norm, dropout=0.1, seed=2, backend=backend)
    net.fit(X, y, epochs=2, batch_size=8, ema=0.9)
    net.save(tmp_path / "net")
    others = [fastmlp.load(tmp_path / "net", backend=backend), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    assert all(other.norm == norm for other in others)
    net.fit(X, y, epochs=2, batch_size=8, ema=0.9)
    for other in others:
        other.fit(X, y, epochs=2, batch_size=8, ema=0.9)
        assert learnt(other).tobytes() == learnt(net).tobytes()
        assert other.averaged().predict(X).tobytes() == net.averaged().predict(X).tobytes() != net.predict(X).tobytes()


# ---- what a user sees -----------------------------------------------------------------------------------------------


@each_norm
def test_early_stopping_brings_all_back(norm, backend):
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.random.default_rng(1).normal(size=20)
    net = fastmlp.MLP([4, 6, 1], norm=norm, seed=2, backend=backend)
    stop, after = fastmlp.EarlyStopping("loss", patience=3, mode="max"), []

    class Note(fastmlp.Callback):
        def on_epoch_end(self, net, logs):
            after.append(learnt(net))

    net.fit(X, y, epochs=9, batch_size=5, callbacks=[Note(), stop])
    assert stop.best_epoch is not None
    np.testing.assert_array_equal(learnt(net), after[stop.best_epoch - 1])
    assert (learnt(net) != after[-1]).any()
    again = fastmlp.EarlyStopping("loss")
    stop._parameters = net._tensors()
    again.load_state_dict(stop.state_dict())
    assert again._parameters.keys() == net._tensors().keys()


def test_statistics_follow_those_of_batches(backend):
    net = random_net("batch", [3, 4, 1], backend)
    X, y = np.random.default_rng(0).normal(size=(7, 3)), np.zeros(7)
    mean, variance = net.running_statistics[0]
    z = X @ net.weights[0]
    loss = net.step(X, y, optimizer=fastmlp.SGD(1e-300))
    np.testing.assert_allclose(net.running_statistics[0][0], mean + 0.1 * (z.mean(axis=0) - mean), rtol=1e-13)
    np.testing.assert_allclose(net.running_statistics[0][1], variance + 0.1 * (z.var(axis=0, ddof=1) - variance))
    before = net._tensors()
    net.evaluate(X, y), net.loss_and_grad(X, y), net.trace(X, y), net.predict(X)
    net.step(X[:1], y[:1], optimizer=fastmlp.SGD(1e-300))  # one row has no variance
    for name, array in net._tensors().items():
        np.testing.assert_array_equal(array, before[name])
    x = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)
    hidden = np.maximum(net.gammas[0] * x + net.biases[0], 0)
    assert loss == pytest.approx(0.5 * np.mean((hidden @ net.weights[1] + net.biases[1]) ** 2), rel=1e-13)


def test_a_loss_of_ones_own_is_trained_with_batch_norms(backend):
    nets = []
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    own = fastmlp.CustomLoss(lambda outputs, targets: (0.5 * ((outputs - targets) ** 2).sum(axis=1), outputs - targets))
    for loss in ("squared_error", own):
        net = random_net("batch", [5, 9, 4, 2], backend, loss=loss, activation="tanh")
        net.fit(X, y, epochs=3, batch_size=16)
        nets.append(net)
    np.testing.assert_allclose(learnt(nets[0]), learnt(nets[1]), rtol=1e-12, atol=1e-13)


def test_a_step_that_is_given_up_leaves_statistics(backend):
    net = random_net("batch", [3, 4, 1], backend)
    start = net._tensors()
    with pytest.raises(fastmlp.TrainingDiverged):
        net.step(np.full((5, 3), 1.0), np.full(5, 1e200), optimizer=fastmlp.SGD(0.1))
    for name, array in net._tensors().items():
        np.testing.assert_array_equal(array, start[name])


def test_what_batch_norms_cannot_do_is_refused(backend):
    net, X, y = fastmlp.MLP([3, 4, 2], norm="batch", seed=0, backend=backend), np.ones((5, 3)), np.ones((5, 2))
    for call, why in (
        (lambda: net.fit(X, y, per_sample=True), "rows have none of their own"),
        (lambda: net.fit(X, y, optimizer="lbfgs"), "LBFGS makes no steps"),
        (lambda: net.forward(X, training=True), "training=True is not for norm='batch'"),
        (
            lambda: fastmlp.MLP([3, 4, 2], norm="batch", activation="softmax"),
            "norm='batch' is for activations of single",
        ),
    ):
        with pytest.raises(ValueError, match=why):
            call()


def test_a_file_without_says_nothing_of_it():
    assert "norm" not in NetworkSpec.make([2, 3, 1]).to_dict()


@each_norm
def test_representations_and_parameters(norm, capsys):
    net = fastmlp.MLP([2, 3, 4, 1], norm=norm, seed=0)
    assert NetworkSpec.from_dict(net._learner.spec.to_dict()) == net._learner.spec
    assert repr(net).endswith(f"seed=0, norm={norm!r})")
    assert net.n_parameters == net.get_flat().size == 2 * 3 + 6 + 3 * 4 + 8 + 4 + 1
    net.summary()
    assert f"{norm} norm, relu" in capsys.readouterr().out
    net.gammas = [2 * gamma for gamma in net.gammas]
    assert [gamma.tolist() for gamma in net.gammas] == [[2.0] * 3, [2.0] * 4]
    net.weights, net.biases = net.weights, net.biases
    assert net.gammas[0][0] == 2
    assert fastmlp.MLP([2, 3, 1]).gammas == ()
    with pytest.raises(ValueError, match=r"gammas must be 2 arrays, one per hidden layer that has any, got 3"):
        net.gammas = [*net.gammas, np.ones(1)]
    with pytest.raises(ValueError, match="give the gradient as one vector, without db"):
        net.apply_gradients(net.weights, net.biases)
    net.apply_gradients(np.ones(net.n_parameters), optimizer=fastmlp.SGD(0.5))
    assert net.gammas[0].tolist() == [1.5] * 3


@pytest.mark.parametrize(
    ("sizes", "norm", "why"),
    [
        ([3, 3], "layer", "norm is for hidden layers, of which sizes has none"),
        ([3, 3, 3], "layers", "norm must be one of .*; did you mean 'layer'"),
        ([3, 3, 3], True, "norm must be a str, got True"),
    ],
)
def test_what_is_no_norm_is_refused(sizes, norm, why):
    with pytest.raises((TypeError, ValueError), match=why):
        fastmlp.MLP(sizes, norm=norm)
