"""Rectifiers that learn their slopes: PyTorch's trajectories, gradients, the same bits however a step is cut, files."""

import copy
import pickle

import numpy as np
import pytest
from both_engines import CLOSE, pair
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, states_of
from random_networks import OPTIMIZERS, central_differences, fill, flat, targets, train
from stored import script

import fastmlp
from fastmlp.spec import Adam, NetworkSpec, Run

#: Sizes, batch and rows: whose steps are cut and shared out in every way that there is.
WAYS = {
    "few rows": ((37, 45, 33), 1, 5),
    "rows": ((13, 70, 5), 40, 100),
    "panels": ((37, 145, 33, 3), 2, 9),
    "microbatches": ((37, 45, 33), 1100, 1500),
    "parts": ((290, 300, 9), 1000, 1300),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
each_kind = pytest.mark.parametrize("per_unit", [True, False], ids=["per unit", "shared"])


STORED = script("make_torch_prelu")


def network(backend, per_unit, sizes=(3, 5, 4, 2), dtype="float64", **how):
    kind = fastmlp.PReLU(per_unit=per_unit)
    return fastmlp.MLP(list(sizes), activation=kind, output=kind, dtype=dtype, seed=2, backend=backend, **how)


def learnt(net):
    """All that a network has learnt, in one vector."""
    return net.get_flat().tobytes()


# ---- what it computes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_steps_are_pytorchs(name, backend):
    net = network(backend, STORED.TRAININGS[name], STORED.SIZES)
    layers, X, y = STORED.problem()
    net.weights, net.biases = zip(*layers, strict=True)
    rows = map(STORED.rows_of, range(STORED.STEPS))
    losses = [net.step(X[part], y[part], optimizer=fastmlp.Adam(STORED.RATE)) for part in rows]
    found = np.concatenate([net.predict(X).ravel(), net.get_flat()])
    with np.load(STORED.PATH) as wanted:
        np.testing.assert_allclose(losses, wanted[f"{name}/losses"], rtol=1e-10)
        assert found.shape == wanted[f"{name}/last"].shape
        np.testing.assert_allclose(found, wanted[f"{name}/last"], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", STORED.TRAININGS)
def test_what_is_stored_is_what_pytorch_says(name):
    pytest.importorskip("torch")
    with np.load(STORED.PATH) as wanted:
        for key, array in STORED.torch_trajectory(STORED.TRAININGS[name]).items():
            np.testing.assert_allclose(array, wanted[f"{name}/{key}"], rtol=1e-11, atol=1e-12)


@each_kind
def test_gradients_are_slopes(per_unit, backend):
    net = network(backend, per_unit, (3, 4, 4, 2), residual=True, l2=0.1)
    net.slopes = [slope * 0 + value for slope, value in zip(net.slopes, (0.3, -0.2, 1.5), strict=True)]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    engine = net._learner.engine
    gradient = gradient_of(engine, X, y, None, 1)

    def losses():
        out, row_loss = np.empty((9, 2)), np.empty(9)
        engine.evaluate(X, y, out, row_loss, 1)
        return np.append(row_loss / 9, engine.penalty())

    np.testing.assert_allclose(flat(gradient[1:]), central_differences(engine, losses, 1e-6), rtol=1e-6, atol=1e-8)


@each_kind
def test_a_slope_of_0_learns(per_unit, backend):
    """Its gradient cannot be found in what it has let through."""
    net = network(backend, per_unit)
    net.slopes = [0 * slope for slope in net.slopes]
    X = np.random.default_rng(1).normal(size=(30, 3))
    net.fit(X, X[:, :2], epochs=1, optimizer=fastmlp.SGD(0.01))
    assert all(slope.any() for slope in net.slopes)


@each_kind
def test_what_is_noted_of_rows_counts_slopes(per_unit, backend):
    net, rng = network(backend, per_unit), np.random.default_rng(3)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    gradient, norms = np.empty(net.n_parameters), []
    for row in range(6):
        net.loss_and_grad(X[row : row + 1], y[row : row + 1], out=gradient)
        norms.append(np.sqrt((gradient**2).sum()))
    net.fit(X, y, epochs=1, batch_size=6, per_sample=True)
    np.testing.assert_allclose(net.per_sample_.grad_norms, norms, rtol=1e-11)


@each_kind
def test_a_tape_gives_the_engines_own_gradient(per_unit):
    net, rng = network("cython", per_unit, (37, 45, 33, 2)), np.random.default_rng(4)
    X, y = rng.normal(size=(700, 37)), rng.normal(size=(700, 2))
    wanted, found = np.empty(net.n_parameters), np.empty(net.n_parameters)
    net.loss_and_grad(X, y, out=wanted)
    net.backward((net.forward(X) - y) / 700, out=found)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


# ---- the same bits --------------------------------------------------------------------------------------------------


def run(engine, spec, batch_size, n, threads=1):
    """Losses, parameters and state after an epoch with everything that a vector goes through."""
    rng, steps = np.random.default_rng(n), -(-n // batch_size)
    X, y = rng.normal(size=(n, spec.sizes[0])).astype("float32"), targets(spec, n)
    losses, table = np.full(steps, np.nan), Adam(0.01).scalars(0, steps)
    engine.use_optimizer("adam")
    engine.keep_average()
    asked = Run(X, y, rng.random(n), rng.permutation(n), batch_size, table, losses, clip_norm=0.5, average=0.1, seed=3)
    assert engine.train(asked, threads).status == "done"
    return [losses, flat(layers_of(engine)), *map(flat, states_of(engine)), flat([engine.read("average").values()])]


@each_kind
@each_way
def test_same_bits_on_every_isa_and_however_a_step_is_shared_out(way, per_unit):
    sizes, batch_size, n = way
    spec, results = NetworkSpec.make(sizes, fastmlp.PReLU(per_unit=per_unit), "prelu", dropout=0.2), {}
    for isa in ISAS:
        for threads in (1, 3) if isa != "scalar" or n < 1000 else (2,):
            found = run(fill(Engine(spec, isa), spec), spec, batch_size, n, threads)
            results[isa, threads] = [part.tobytes() for part in found]
    wanted = results["scalar", 1 if n < 1000 else 2]
    assert [key for key, found in results.items() if found != wanted] == []


@each_way
def test_both_engines_learn_the_same_shared_slopes(way):
    sizes, batch_size, n = way
    spec = NetworkSpec.make(sizes, fastmlp.PReLU(per_unit=False), dtype="float64", dropout=0.2)
    found = [run(engine, spec, batch_size, n, 2) for engine in pair(spec)]
    for ours, numpys in zip(*found, strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_optimizer_learns_slopes(optimizer):
    spec = NetworkSpec.make([4, 6, 5, 2], ["prelu", fastmlp.PReLU(0.1, per_unit=False)], dtype="float64")
    rng, results = np.random.default_rng(5), []
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    for engine in pair(spec):
        before = layers_of(engine)[1]
        train(engine, X, y, np.arange(30), 8, optimizer)
        after = layers_of(engine)[1]
        assert after[1].shape == (6,)
        assert after[3].shape == (1,)
        assert all((a != b).any() for a, b in zip(before, after, strict=True))
        results.append(flat(layers_of(engine)))
    np.testing.assert_allclose(*results, **CLOSE["float64"])


# ---- files ----------------------------------------------------------------------------------------------------------


@each_kind
def test_a_training_that_was_saved_goes_on_to_the_same_bits(per_unit, backend, tmp_path):
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    whole, cut = network(backend, per_unit, dtype="float32"), network(backend, per_unit, dtype="float32")
    whole.fit(X, y, epochs=4, optimizer="adam", ema=0.9)
    cut.fit(X, y, epochs=2, optimizer="adam", ema=0.9)
    cut.save(tmp_path / "m")
    loaded = fastmlp.load(tmp_path / "m", backend=backend)
    assert loaded.layers[0].activation == fastmlp.PReLU(per_unit=per_unit)
    for net in (loaded, copy.deepcopy(cut), pickle.loads(pickle.dumps(cut))):
        net.fit(X, y, epochs=2, ema=0.9)
        assert learnt(net) == learnt(whole)
        assert learnt(net.averaged()) == learnt(whole.averaged())


def test_slopes_are_read_and_set(backend):
    net = network(backend, True, (3, 5, 2), "float32")
    net.slopes = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.0, -1.0]]
    assert net.n_parameters == 3 * 5 + 5 + 5 + 5 * 2 + 2 + 2
    assert [slope.tolist() for slope in net.slopes] == [np.float32([0.1, 0.2, 0.3, 0.4, 0.5]).tolist(), [0.0, -1.0]]
    assert fastmlp.MLP([2, 3, 1], backend=backend).slopes == ()
    with pytest.raises(ValueError, match=r"slopes\[1\] must have shape \(2,\), got \(3,\)"):
        net.slopes = [[0.1] * 5, [0.0, 1.0, 2.0]]
    for wrong in ("0.1", True, None):
        with pytest.raises(TypeError, match="init must be a real number"):
            fastmlp.PReLU(wrong)
    with pytest.raises(TypeError, match="per_unit must be True or False"):
        fastmlp.PReLU(per_unit=1)


def test_estimators_have_no_place_for_slopes():
    pytest.importorskip("sklearn")
    from fastmlp.sklearn import MLPRegressor

    with pytest.raises(ValueError, match="one that learns no slopes"):
        MLPRegressor(activation="prelu").fit([[0.0], [1.0]], [0.0, 1.0])
