"""`MLP(normalize=..., normalize_targets=...)`: raw numbers in, and the network is that of numbers normalised before."""

import copy
import pickle
import re

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.data import as_data, measure_scaling, split_rows

RANDOM = np.random.default_rng(0)
N = 90
X = RANDOM.standard_normal((N, 4)) * [1, 1000, 1e-3, 0] + [0, 1e6, 5, 3]
Y = np.arange(N) % 3
KINDS = ("standard", "minmax", "robust")


def by_hand(X, kind):
    shift, spread = {
        "standard": lambda: (X.mean(axis=0), X.std(axis=0)),
        "minmax": lambda: (X.min(axis=0), np.ptp(X, axis=0)),
        "robust": lambda: (np.median(X, axis=0), np.subtract(*np.quantile(X, [0.75, 0.25], axis=0))),
    }[kind]()
    return shift, 1 / np.where(X.min(axis=0) == X.max(axis=0), 1, spread)


def make(**arguments):
    return fastmlp.MLP(
        [4, 6, 3], output="softmax", activation="tanh", seed=1, dropout=0.2, input_noise=0.1, **arguments
    )


def by(net):
    return net._learner.normalizing


def normalised(net):
    scaling = by(net).input_scaling
    return ((X - scaling.shift) * scaling.scale).astype(net.dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_the_formulas(kind):
    found = measure_scaling(X, kind)
    shift, scale = by_hand(X, kind)
    np.testing.assert_allclose(found.shift, shift, rtol=1e-12)
    np.testing.assert_allclose(found.scale, scale, rtol=1e-9)
    assert (found.shift[3], found.scale[3]) == (3, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_have_the_same_bits_however_rows_lie(kind, monkeypatch):
    wanted = measure_scaling(X, kind)
    several = fastmlp.data.as_inputs([X[:20], X[20:]], 4)
    for other in (np.asfortranarray(X), X[::-1].copy()[::-1], several):
        found = measure_scaling(other, kind)
        assert found.shift.tobytes() == wanted.shift.tobytes()
        assert found.scale.tobytes() == wanted.scale.tobytes()
    part = np.arange(N)[::-1] * 2
    rows = np.repeat(X, 2, axis=0)[::-1]
    assert measure_scaling(rows, kind, part + 1).scale.tobytes() == wanted.scale.tobytes()
    monkeypatch.setattr("fastmlp.data.scaling.SORTED_NUMBERS", 1)
    assert measure_scaling(several, kind).shift.tobytes() == wanted.shift.tobytes()


def test_what_cannot_be_normalised_is_named():
    for low, high in ((-1e308, 1e308), (0.0, 1e-320)):
        with pytest.raises(ValueError, match=re.escape(f"column 1 of X is from {low} to {high}: too far, or too near")):
            measure_scaling(np.array([[0, low], [1, high]]), "minmax")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_normalised_inputs_are(backend, kind, dtype):
    net, same = make(normalize=kind, backend=backend, dtype=dtype), make(backend=backend, dtype=dtype)
    arguments = {"epochs": 3, "batch_size": 8, "threads": 2, "optimizer": fastmlp.Adam(0.01)}
    history = net.fit(X, Y, validation_data=(X, Y), **arguments)
    Z = normalised(net)
    wanted = same.fit(Z, Y, validation_data=(Z, Y), **arguments)
    assert parameters(net) == parameters(same)
    assert (history.loss, history["val_loss"]) == (wanted.loss, wanted["val_loss"])
    for rows in (slice(0, 1), slice(0, N)):  # of which one is a small call
        assert net.predict(X[rows]).tobytes() == same.predict(Z[rows]).tobytes()
    assert net.step(X, Y) == same.step(Z, Y)
    assert net.evaluate(X, Y) == same.evaluate(Z, Y)
    assert net.transform(X).tobytes() == same.transform(Z).tobytes()
    assert net.trace(X, Y).sensitivities[0].tobytes() == same.trace(Z, Y).sensitivities[0].tobytes()
    assert net.loss_and_grad(X, Y)[1][0].tobytes() == same.loss_and_grad(Z, Y)[1][0].tobytes()
    assert net.forward(X, training=True).tobytes() == same.forward(Z, training=True).tobytes()
    found, wanted = (each.backward(np.ones((N, 3)), input_gradient=True) for each in (net, same))
    assert found[0][0].tobytes() == wanted[0][0].tobytes()
    assert found[2].tobytes() == (wanted[2] * by(net).input_scaling.scale).astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int16", "int32", "int64", "float32"])
def test_any_source_is_normalised_to_the_same_bits(backend, dtype):
    whole = RANDOM.integers(0, 200, (N, 4))
    found = []
    for rows in (whole.astype(np.float64), whole.astype(dtype)):
        net = make(normalize="standard", backend=backend)
        net.fit(rows, Y, epochs=1)
        found.append(parameters(net) + net.predict(rows).tobytes())
    assert found[0] == found[1]


def test_threads_and_isas_give_the_same_bits(backend):
    found = set()
    for threads in (1, 2, 3):
        net = make(normalize="robust", backend=backend)
        net.fit(X, Y, epochs=2, batch_size=30, threads=threads)
        found.add(parameters(net) + net.predict(X, threads=threads).tobytes())
    assert len(found) == 1


def test_input_gradients_are_by_the_raw_inputs(backend):
    net = make(normalize="standard", dtype="float64", backend=backend)
    net.fit(X, Y, epochs=1)
    found, step = net.input_gradient(X[:3]), np.array([1e-5, 1e-2, 1e-8, 1e-5])
    for column in range(4):
        moved = np.zeros(4)
        moved[column] = step[column]
        wanted = (net.predict(X[:3] + moved) - net.predict(X[:3] - moved)) / (2 * step[column])
        np.testing.assert_allclose(found[:, :, column], wanted, rtol=1e-4, atol=1e-6 / step[column] * 1e-5)


def test_it_is_measured_once_and_goes_with_the_network(tmp_path):
    net = make(normalize="minmax")
    raw = net.predict(X[:2])
    net.fit(X, Y, epochs=1, ema=0.5)
    first = by(net).input_scaling
    net.fit(X * 2, Y, epochs=1)
    assert by(net).input_scaling is first
    assert (net.predict(X[:2]) != raw).any()
    net.save(tmp_path / "net")
    others = [fastmlp.load(tmp_path / "net"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    for other in others:
        assert other.normalize == "minmax"
        assert other.predict(X).tobytes() == net.predict(X).tobytes()
    wanted = net.fit(X, Y, epochs=1).loss
    assert all(other.fit(X, Y, epochs=1).loss == wanted for other in others)
    assert by(net.averaged()).input_scaling is first
    assert "normalize='minmax'" in repr(net)
    fresh = make(normalize="robust")
    fresh.save(tmp_path / "fresh")
    again = fastmlp.load(tmp_path / "fresh")
    assert (again.normalize, by(again).input_scaling) == ("robust", None)


def test_it_is_measured_on_the_rows_that_are_trained_on():
    net = make(normalize="standard")
    net.fit(X, Y, epochs=1, validation_split=0.3)
    every = measure_scaling(X, "standard")
    assert not np.array_equal(by(net).input_scaling.shift, every.shift)
    spec = net._learner.spec
    part, _ = split_rows(spec, as_data(spec, X, Y, None), 0.3, net._backend.permutation, net.seed)
    np.testing.assert_allclose(by(net).input_scaling.shift, X[part].mean(axis=0), rtol=1e-12)


def test_a_training_is_gone_on_with_to_the_same_bits(tmp_path):
    whole, path = make(normalize="standard"), tmp_path / "run.safetensors"
    whole.fit(X, Y, epochs=4, batch_size=20)
    make(normalize="standard").fit(X, Y, epochs=4, batch_size=20, max_steps=7, callbacks=[fastmlp.Checkpoint(path)])
    again = make(normalize="standard")
    again.fit(X, Y, epochs=4, batch_size=20, resume=path)
    assert parameters(again) == parameters(whole)
    with pytest.raises(ValueError, match="normalize='standard' and normalize_targets=None; this one has None and None"):
        make().fit(X, Y, epochs=4, batch_size=20, resume=path)


def test_lbfgs_searches_with_what_is_normalised():
    pytest.importorskip("scipy")
    pytest.importorskip("threadpoolctl")
    net, same = (regression(normalize=kind, normalize_targets=kind) for kind in ("standard", None))
    net.fit(X, T, optimizer="lbfgs", epochs=5)
    rows, targets = by(net).input_scaling, by(net).target_scaling
    same.fit((X - rows.shift) * rows.scale, (T - targets.shift) * targets.scale, optimizer="lbfgs", epochs=5)
    np.testing.assert_allclose(net.weights[0], same.weights[0], rtol=1e-5)


def test_batches_and_steps_need_it_before():
    net = make(normalize="standard")
    for call in (lambda: net.fit([(X, Y)]), lambda: net.step(X, Y)):
        with pytest.raises(ValueError, match=r"normalize='standard' needs the statistics of all rows: call adapt\(X\)"):
            call()
    net.adapt(X)
    net.fit([(X[:50], Y[:50]), (X[50:], Y[50:])], epochs=2)
    whole = make(normalize="standard")
    whole.fit(X, Y, epochs=2, batch_size=50, shuffle=False)
    assert parameters(net) == parameters(whole)


# ---- targets --------------------------------------------------------------------------------------------------------

T = (X[:, :2] @ [[1e-3, 1], [2e-4, 0]] + [4e3, -1e-3]) * [10, 0.1]


def regression(loss="squared_error", **arguments):
    n_outputs = 6 if loss == QUANTILES else 2
    return fastmlp.MLP([4, 6, n_outputs], loss=loss, activation="tanh", seed=1, **arguments)


QUANTILES = fastmlp.Quantile([0.1, 0.5, 0.9])


@pytest.mark.parametrize("loss", ["squared_error", "huber", QUANTILES], ids=["squared", "huber", "quantiles"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_targets_are_normalised_and_outputs_are_in_their_units(backend, loss, dtype):
    net = regression(loss, normalize="standard", normalize_targets="standard", backend=backend, dtype=dtype)
    same = regression(loss, normalize="standard", backend=backend, dtype=dtype)
    arguments = {"epochs": 3, "batch_size": 8, "threads": 2}
    history = net.fit(X, T, validation_data=(X, T), **arguments)
    scaling = by(net).target_scaling
    Z = ((T - scaling.shift) * scaling.scale).astype(dtype)
    np.testing.assert_allclose(scaling.shift, T.mean(axis=0))
    wanted = same.fit(X, Z, validation_data=(X, Z), **arguments)
    assert parameters(net) == parameters(same)
    assert (history.loss, history["val_loss"]) == (wanted.loss, wanted["val_loss"])
    heads = net.layers[-1].n_out // 2
    shift, scale = np.repeat(scaling.shift, heads), np.repeat(scaling.scale, heads)
    for rows in (slice(0, 1), slice(0, N)):
        assert net.predict(X[rows]).tobytes() == (same.predict(X[rows]) / scale + shift).astype(dtype).tobytes()
    assert net.forward(X[:5]).tobytes() == (same.forward(X[:5]) / scale + shift).astype(dtype).tobytes()
    by_outputs = np.arange(10.0 * heads).reshape(5, -1)
    for found, grad in zip(net.backward(by_outputs), same.backward(by_outputs / scale), strict=True):
        np.testing.assert_allclose(found[0], grad[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.input_gradient(X), same.input_gradient(X) / scale[:, np.newaxis], rtol=1e-6)
    np.testing.assert_allclose(net.input_gradient(X, T), same.input_gradient(X, Z), rtol=1e-5, atol=1e-9)
    assert net.evaluate(X, T, metrics=["mae"])["loss"] == same.evaluate(X, Z)["loss"]
    centre = loss.estimates(net.predict(X)) if loss == QUANTILES else net.predict(X)
    np.testing.assert_allclose(net.evaluate(X, T, metrics=["mae"])["mae"], np.abs(centre - T).mean(), rtol=1e-5)


def test_what_normalises_targets_goes_with_the_network(tmp_path):
    net = regression(normalize_targets="robust")
    with pytest.raises(ValueError, match=r"normalize_targets='robust' needs .* call adapt\(X, y\) before"):
        net.fit([(X, T)])
    with pytest.raises(ValueError, match=r"is measured on targets: adapt\(X, y\)"):
        net.adapt(X)
    net.adapt(X, T)
    assert np.array_equal(by(net).target_scaling.shift, measure_scaling(T, "robust").shift)
    net.fit([(X, T)])
    net.save(tmp_path / "net")
    for other in (fastmlp.load(tmp_path / "net"), copy.deepcopy(net)):
        assert other.normalize_targets == "robust"
        assert other.predict(X).tobytes() == net.predict(X).tobytes()
    with pytest.raises(ValueError, match="normalize_targets is for regression, .* has the loss cosine"):
        fastmlp.load(tmp_path / "net", loss="cosine")
    with pytest.raises(ValueError, match="outputs begin at the middle of the targets with normalize_targets='robust'"):
        net.init_output_bias(T)
    assert "normalize_targets='robust'" in repr(net)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_onnx_models_normalise(tmp_path, dtype):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net = regression(normalize="standard", normalize_targets="minmax", dtype=dtype)
    net.fit(X, T, epochs=2)
    net.to_onnx(tmp_path / "net.onnx")
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": X.astype(dtype)})
    wanted = net.predict(X.astype(dtype))
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype == "float32" else 1e-12, atol=np.finfo(dtype).eps)
    if dtype == "float64":  # it is folded into W and b, which loses digits where means are large
        again = fastmlp.from_onnx(tmp_path / "net.onnx")
        np.testing.assert_allclose(again.predict(X), wanted, rtol=1e-7, atol=1e-9)


# ---- arguments and files --------------------------------------------------------------------------------------------


def test_bad_arguments():
    for bad, kind in (("mean", ValueError), (True, TypeError), (1, TypeError)):
        with pytest.raises(kind, match="normalize must be"):
            make(normalize=bad)
    with pytest.raises(ValueError, match="normalize_targets is for regression, .* output softmax"):
        make(normalize_targets="standard")
    with pytest.raises(RuntimeError, match="this network normalises nothing"):
        make().adapt(X)
    with pytest.raises(ValueError, match="X has nan at row 1"):
        make(normalize="standard").adapt([[1, 2, 3, 4], [1, 2, np.nan, 4]])


def test_damaged_files_are_refused(tmp_path):
    net = make(normalize="standard")
    net.fit(X, Y, epochs=1)
    net.save(tmp_path / "net")
    good = (tmp_path / "net").read_bytes()
    for old, new, message in (
        (b"inputs.scale", b"inputs.scalf", "of the tensors inputs.shift and inputs.scale one is missing"),
        (b'standard\\"', b'stabdard\\"', "normalize must be one of"),
        (b'\\"needs\\": [\\"normalize\\"]', b'\\"needs\\": [\\"normalizf\\"]', "normalizf"),
        (by(net).input_scaling.scale.tobytes(), bytes(32), "not 0"),
    ):
        assert good.count(old) == 1
        (tmp_path / "bad").write_bytes(good.replace(old, new))
        with pytest.raises(ValueError, match=message):
            fastmlp.load(tmp_path / "bad")
