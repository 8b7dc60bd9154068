"""`lazy=True`: steps that touch only the first layer's weights of the columns that a batch of sparse rows has."""

import pickle

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.data.sparse import as_sparse
from fastmlp.spec import OPTIMIZERS

sparse = pytest.importorskip("scipy.sparse")

N, N_INPUTS = 60, 210
CSR = sparse.random(N, N_INPUTS, density=0.02, format="csr", dtype=np.float32, random_state=3)
Y = np.arange(N) % 3
BATCH = 8  # some sixth of the columns

#: By the kind of first layer: wide, of a vector, of dot products, the only one; and what goes on around it.
NETWORKS = {
    "wide": ([N_INPUTS, 40, 3], {}, {}),
    "two panels and a half": ([N_INPUTS, 83, 3], {"l2": 0.01}, {"clip_value": 0.02}),
    "narrow": ([N_INPUTS, 7, 3], {"l1": 0.001}, {"ema": 0.9}),
    "dots": ([N_INPUTS, 4, 3], {"dropout": 0.2}, {"lr_factors": {"layers.0.weight": 0.5}}),
    "alone": ([N_INPUTS, 3], {"max_norm": 1.0}, {"ema": 0.8}),
    "normalised": ([N_INPUTS, 20, 3], {"norm": "layer"}, {"swa": 2}),
    "by batches": ([N_INPUTS, 20, 3], {"norm": "batch"}, {}),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def make(name="wide", backend=None, dtype="float64"):
    sizes, arguments, _ = NETWORKS[name]
    return fastmlp.MLP(sizes, output="softmax", activation="tanh", seed=1, dtype=dtype, backend=backend, **arguments)


def fit(net, name="wide", rows=CSR, **arguments):
    arguments = {"epochs": 3, "batch_size": BATCH, "optimizer": fastmlp.AdamW(0.02), "lazy": True} | arguments
    return net.fit(rows, Y[: rows.shape[0]], **NETWORKS[name][2], **arguments)


def state(net):
    engine = net._learner.engine
    return b"".join(array.tobytes() for kind in engine.kinds for array in engine.read(kind).values())


@each_network
def test_the_engine_does_what_numpy_does(name):
    ours, theirs = make(name, "cython"), make(name, "numpy")
    np.testing.assert_allclose(fit(ours, name).loss, fit(theirs, name).loss, rtol=1e-11)
    for kind in ours._learner.engine.kinds:
        found, wanted = ours._learner.engine.read(kind), theirs._learner.engine.read(kind)
        for tensor, array in found.items():
            np.testing.assert_allclose(array, wanted[tensor], rtol=1e-9, atol=1e-11, err_msg=f"{kind} {tensor}")
    np.testing.assert_allclose(ours.predict(CSR), theirs.predict(CSR.toarray()), rtol=1e-10)


@each_network
def test_threads_and_isa_change_no_bit(name):
    passes = pytest.importorskip("fastmlp.passes")
    found = set()
    for threads in (1, 2, 3):
        net = make(name, "cython", "float32")
        fit(net, name, threads=threads)
        found.add(state(net) + net.predict(CSR).tobytes())
    for isa in (each["name"] for each in passes.isas() if each["available"]):
        net = make(name, "cython", "float32")
        net._learner.engine = of = passes.Engine(net._learner.spec, isa)
        of.write(make(name, "cython", "float32")._learner.engine.read())
        fit(net, name, threads=1)
        out = np.empty((N, 3), np.float32)
        of.predict(as_sparse(CSR), out, 1)
        found.add(state(net) + out.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "by batches"])
def test_where_a_batch_has_all_columns_nothing_is_different(name, backend):
    rows = CSR.copy().tolil()
    rows[::BATCH] = 0.25
    nets = [make(name, backend, "float32") for _ in range(2)]
    for net, lazy in zip(nets, (True, False), strict=True):
        fit(net, name, rows.tocsr(), lazy=lazy, shuffle=False)
    assert state(nets[0]) == state(nets[1])


def test_what_a_batch_has_no_column_of_stays(backend):
    net = make(backend=backend)
    fit(net)
    before = net._learner.engine.read(), net._learner.engine.read("state.0")
    net.step(CSR[:4], Y[:4], lazy=True)
    after = net._learner.engine.read(), net._learner.engine.read("state.0")
    touched = np.unique(CSR[:4].indices)
    for old, new in zip(before, after, strict=True):
        differs = (old["layers.0.weight"] != new["layers.0.weight"]).any(axis=1)
        assert np.flatnonzero(differs).tolist() == touched.tolist()
        assert (old["layers.1.weight"] != new["layers.1.weight"]).all()


def test_an_entry_of_zero_counts_as_one(backend):
    net = make(backend=backend)
    fit(net)
    before = net.weights[0]
    rows = CSR[:4].copy()
    rows.data[:] = 0
    net.step(rows, Y[:4], lazy=True)
    assert set(np.flatnonzero((before != net.weights[0]).any(axis=1))) == set(CSR[:4].indices)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_leave_weights_out_or_say_that_they_cannot(optimizer):
    nets = [make(backend=backend) for backend in ("cython", "numpy")]
    if not OPTIMIZERS[optimizer].lazy:
        with pytest.raises(
            ValueError, match=f"lazy=True leaves .* {OPTIMIZERS[optimizer].__name__} needs them in each"
        ):
            fit(nets[0], optimizer=optimizer)
        return
    for net in nets:
        fit(net, optimizer=optimizer, epochs=2)
    np.testing.assert_allclose(nets[0].weights[0], nets[1].weights[0], rtol=1e-9, atol=1e-11)


def test_optimizers_that_need_every_weight_are_these():
    assert {name for name, rule in OPTIMIZERS.items() if not rule.lazy} == {"muon", "rprop", "schedule_free_adamw"}


@pytest.mark.parametrize("backend", ["cython"])
def test_trainings_go_on(backend, tmp_path):
    whole, parts, stopped = (make(backend=backend) for _ in range(3))
    fit(whole)
    fit(parts, epochs=1)
    parts = pickle.loads(pickle.dumps(parts))
    fit(parts, epochs=1)
    parts.save(tmp_path / "net.safetensors")
    parts = fastmlp.load(tmp_path / "net.safetensors")
    fit(parts, epochs=1, threads=2)
    fit(stopped, max_steps=11)  # in the middle of the second epoch
    fit(stopped, resume=True)
    assert state(parts) == state(whole) == state(stopped)
    assert stopped.history.loss == whole.history.loss


@pytest.mark.parametrize("sizes", [[3000, 70, 3], [N_INPUTS, 20, 3]], ids=["parts", "microbatches"])
def test_batches_that_would_be_cut_are_not(sizes):
    rows = sparse.random(700, sizes[0], density=0.01, format="csr", random_state=2)
    y = np.arange(700) % 3
    nets = [
        fastmlp.MLP(sizes, output="softmax", dtype="float64", seed=0, backend=backend)
        for backend in ("cython", "numpy")
    ]
    for net in nets:
        net.fit(rows, y, epochs=1, batch_size=700, lazy=True, threads=2)
    np.testing.assert_allclose(nets[0].weights[0], nets[1].weights[0], rtol=1e-9, atol=1e-11)


def test_batches_and_a_share_held_out_are_taken(backend):
    given, streamed = make(backend=backend), make(backend=backend)
    fit(given, shuffle=False)
    streamed.fit(
        [(CSR[start : start + BATCH], Y[start : start + BATCH]) for start in range(0, N, BATCH)],
        epochs=3, optimizer=fastmlp.AdamW(0.02), lazy=True,
    )  # fmt: skip
    assert state(given) == state(streamed)
    assert len(fit(given, validation_split=0.2).val_loss) == 3


REFUSED = {
    "clip_norm": ({}, {"clip_norm": 1.0}, "lazy=True makes no gradient of all weights"),
    "input_dropout": ({"input_dropout": 0.1}, {}, "read as they are, and input_dropout changes them"),
    "input_noise": ({"input_noise": 0.1}, {}, "read as they are, and input_noise changes them"),
    "normalize": ({"normalize": "standard"}, {}, "read as they are, and normalize changes them"),
    "mixup": ({}, {"mixup": 0.2}, "read as they are, and mixup changes them"),
    "per_sample": ({}, {"per_sample": True}, "per_sample looks at every column"),
    "lbfgs": ({}, {"optimizer": "lbfgs"}, "lazy=True leaves weights out of steps, of which LBFGS makes none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(name):
    ours, given, message = REFUSED[name]
    net = fastmlp.MLP([N_INPUTS, 4, 3], output="softmax", **ours)
    before = parameters(net)
    with pytest.raises(ValueError, match=message):
        net.fit(CSR, Y, lazy=True, **given)
    assert parameters(net) == before
    assert net.n_epochs == 0


def test_rows_have_to_be_sparse(backend):
    net = make(backend=backend)
    for rows in (CSR.toarray(), [CSR[:30], CSR[30:]]):
        for call in (net.fit, net.step):
            with pytest.raises(ValueError, match="lazy=True is for rows of one sparse matrix"):
                call(rows, Y, lazy=True)
    with pytest.raises(ValueError, match="lazy is for sparse rows"):
        net.fit([(CSR.toarray(), Y)], lazy=True)
    with pytest.raises(TypeError, match="lazy must be"):
        net.fit(CSR, Y, lazy=2)
