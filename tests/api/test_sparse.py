"""Sparse rows of SciPy in `MLP`: the same bits as the dense rows with the same numbers; and what is refused of them."""

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.data.sparse import Sparse, as_sparse

sparse = pytest.importorskip("scipy.sparse")

N, N_INPUTS = 120, 70
CSR = sparse.random(N, N_INPUTS, density=0.1, format="csr", dtype=np.float32, random_state=0)
X = CSR.toarray()
Y = np.arange(N) % 3


def make(backend, sizes=(N_INPUTS, 20, 3), **arguments):
    return fastmlp.MLP(list(sizes), output="softmax", activation="tanh", seed=1, backend=backend, **arguments)


def shuffled_rows(rows):
    """The same matrix, whose rows have their columns in another order, and a place twice."""
    indices, data = rows.indices.copy(), rows.data.copy()
    for start, end in zip(rows.indptr, rows.indptr[1:], strict=False):
        indices[start:end], data[start:end] = indices[start:end][::-1], data[start:end][::-1]
    data[0] /= 2
    indptr = rows.indptr + (np.arange(len(rows.indptr)) > 0)
    return sparse.csr_matrix(
        (np.concatenate([data[:1], data]), np.concatenate([indices[:1], indices]), indptr), rows.shape
    )


def with_long_indices(rows):
    found = rows.copy()
    found.indptr, found.indices = found.indptr.astype(np.int64), found.indices.astype(np.int64)
    return found


KINDS = {
    "csr": lambda: CSR,
    "csr array": lambda: sparse.csr_array(CSR),
    "csc": CSR.tocsc,
    "int64 indices": lambda: with_long_indices(CSR),
    "out of order": lambda: shuffled_rows(CSR),
    "chunks": lambda: [CSR[:50], CSR[50:]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_rows_are_the_dense_ones(backend, kind):
    given = KINDS[kind]()
    found, wanted = make(backend), make(backend)
    arguments = {"epochs": 2, "batch_size": 25, "threads": 2, "validation_split": 0.2}
    assert found.fit(given, Y, **arguments).loss == wanted.fit(X, Y, **arguments).loss
    assert parameters(found) == parameters(wanted)
    assert found.predict(given).tobytes() == wanted.predict(X).tobytes()
    assert found.evaluate(given, Y) == wanted.evaluate(X, Y)


def test_every_method_takes_them(backend):
    found, wanted = make(backend), make(backend)
    assert found.step(CSR, Y) == wanted.step(X, Y)
    assert found.loss_and_grad(CSR, Y)[1][0].tobytes() == wanted.loss_and_grad(X, Y)[1][0].tobytes()
    assert found.transform(CSR).tobytes() == wanted.transform(X).tobytes()
    assert found.trace(CSR, Y).signals[0].tobytes() == wanted.trace(X, Y).signals[0].tobytes()
    assert found.input_gradient(CSR, Y).tobytes() == wanted.input_gradient(X, Y).tobytes()
    assert found.forward(CSR).tobytes() == wanted.forward(X).tobytes()
    assert found.predict(CSR[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    "arguments",
    [{"input_dropout": 0.2}, {"input_noise": 0.1}, {"normalize": "standard"}, {"activation": "gelu"}, {"l1": 0.01}],
    ids=str,
)
def test_what_a_network_does_to_its_inputs_is_done_to_them(backend, arguments):
    arguments = {"activation": "tanh", **arguments}
    found, wanted = (
        fastmlp.MLP([N_INPUTS, 9, 3], output="softmax", seed=1, backend=backend, **arguments) for _ in range(2)
    )
    for net, rows in ((found, CSR), (wanted, X)):
        net.fit(rows, Y, epochs=2, batch_size=25)
    assert parameters(found) == parameters(wanted)
    assert found.predict(CSR).tobytes() == wanted.predict(X).tobytes()


def test_batches_may_be_sparse(backend):
    found, wanted = make(backend), make(backend)
    found.fit([(CSR[:60], Y[:60]), (CSR[60:], Y[60:])])
    wanted.fit([(X[:60], Y[:60]), (X[60:], Y[60:])])
    assert parameters(found) == parameters(wanted)


def damaged(**parts):
    rows = CSR.copy()
    for name, change in parts.items():
        setattr(rows, name, change(getattr(rows, name).copy()))
    return rows


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


HOSTILE = {
    "an index too large": ({"indices": put(3, N_INPUTS)}, r"X.indices has 70; .* from 0 to 69"),
    "an index below 0": ({"indices": put(3, -1)}, "X.indices has -1"),
    "an index far out": ({"indices": lambda a: put(3, 2**40)(a.astype(np.int64))}, "X.indices has 1099511627776"),
    "rows that end before they begin": ({"indptr": put(5, 10**6)}, "X.indptr must rise"),
    "a first row that begins below 0": ({"indptr": put(0, -4)}, "X.indptr must rise"),
    "more entries than there are": ({"indptr": put(-1, 10**6)}, "X.indptr must rise"),
    "too few rows": ({"indptr": lambda a: a[:-1]}, r"X.indptr has 120 numbers; .* must have 121"),
    "fewer values than indices": ({"data": lambda a: a[:-5]}, "X.indptr must rise"),
    "indices of another kind": ({"indices": lambda a: a.astype(float)}, "X.indices has dtype float64; it must be int"),
    "two dimensions": ({"data": lambda a: a[:, None]}, "X.data must be an array of one dimension"),
    "NaN": ({"data": put(7, np.nan)}, f"X has nan at row {as_sparse(CSR).place_of(7)[0]}, column {CSR.indices[7]};"),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_arrays_that_do_not_fit_are_refused_before_they_are_read(fault):
    parts, message = HOSTILE[fault]
    net = make(None)
    for call in (net.predict, lambda rows: net.fit(rows, Y)):
        with pytest.raises(ValueError, match=message):
            call(damaged(**parts))
    assert net.n_epochs == 0


def test_other_formats_and_numbers_are_refused():
    net = make(None)
    for rows in (CSR.tocoo(), CSR.tolil(), CSR.tobsr()):
        with pytest.raises(TypeError, match=r"X is a sparse \w+; it must be CSR or CSC, of rows: pass X.tocsr\(\)"):
            net.predict(rows)
    with pytest.raises(TypeError, match="X.data has dtype complex64; it must be an array of real numbers"):
        net.predict(CSR.astype(np.complex64))
    with pytest.raises(ValueError, match="71 features; the network takes 70"):
        net.predict(sparse.csr_matrix((5, 71)))


@pytest.mark.parametrize("dtype", ["float64", "int8", "uint8", "int64", "bool"])
def test_numbers_of_any_dtype_are_read(backend, dtype):
    rows = sparse.random(40, N_INPUTS, density=0.2, format="csr", random_state=1)
    rows.data = (rows.data * 9).astype(dtype)
    net = make(backend)
    assert net.predict(rows).tobytes() == net.predict(rows.toarray()).tobytes()


# ---- in the engine --------------------------------------------------------------------------------------------------

#: By the kind of first layer: wide, of a vector, of dot products, the only one; and how a batch of it is cut.
NETWORKS = {
    "wide": ([N_INPUTS, 40, 3], {}),
    "two panels and a half": ([N_INPUTS, 83, 3], {"l2": 0.01}),
    "narrow": ([N_INPUTS, 7, 3], {"l1": 0.001}),
    "dots": ([N_INPUTS, 4, 3], {"dropout": 0.2}),
    "alone": ([N_INPUTS, 3], {"max_norm": 1.0}),
    "normalised": ([N_INPUTS, 20, 3], {"norm": "layer"}),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_engine_gives_sparse_rows_the_bits_of_dense_ones(name, dtype, backend):
    sizes, arguments = NETWORKS[name]
    nets = [fastmlp.MLP(sizes, output="softmax", dtype=dtype, seed=2, backend=backend, **arguments) for _ in range(2)]
    for net, rows in zip(nets, (CSR, X), strict=True):
        net.fit(rows, Y, epochs=2, batch_size=32, ema=0.9)
        net.fit(rows, Y, epochs=1, batch_size=N, clip_norm=0.1, sample_weight=np.arange(N) / N)
    assert parameters(nets[0]) == parameters(nets[1])
    for rows in (slice(0, 1), slice(0, 2), slice(0, N)):
        assert nets[0].predict(CSR[rows]).tobytes() == nets[1].predict(X[rows]).tobytes()
    assert nets[0].evaluate(CSR, Y) == nets[1].evaluate(X, Y)


@pytest.mark.parametrize("batch_size", [2, 50, 600])
def test_threads_change_no_bit_of_sparse_rows(batch_size):
    rows = sparse.vstack([CSR] * 5, format="csr")  # 600: in microbatches
    targets = np.tile(Y, 5)
    found = set()
    for threads in (1, 2, 3):
        net = make("cython", (N_INPUTS, 40, 3))
        net.fit(rows, targets, epochs=2, batch_size=batch_size, threads=threads)
        found.add(parameters(net) + net.predict(rows, threads=threads).tobytes())
    dense = make("cython", (N_INPUTS, 40, 3))
    dense.fit(rows.toarray(), targets, epochs=2, batch_size=batch_size)
    assert found == {parameters(dense) + dense.predict(rows.toarray()).tobytes()}


def test_large_batches_go_through_in_parts(monkeypatch):
    rows = sparse.random(900, 3000, density=0.01, format="csr", dtype=np.float32, random_state=2)
    targets = np.arange(900) % 3
    nets = [make("cython", (3000, 70, 3)) for _ in range(2)]  # parts of fewer rows than a batch
    for net, given in zip(nets, (rows, rows.toarray()), strict=True):
        net.fit(given, targets, epochs=1, batch_size=900, threads=2)
    assert parameters(nets[0]) == parameters(nets[1])


def test_indices_that_change_meanwhile_are_not_followed():
    rows = as_sparse(CSR.copy())
    engine = make("cython")._learner.engine
    rows.indices[::3] = 2**30
    rows.indices[1::3] = -5
    out = np.empty((N, 3), np.float32)
    assert engine.predict(rows, out, 2)
    assert np.isfinite(out).all()
    rows.indptr[3] = 10**9
    with pytest.raises(ValueError, match="indptr must have|row 3 has entries"):
        engine.predict(rows, out, 2)


def test_no_more_rows_become_dense_than_the_last_ones_that_are_looked_at(monkeypatch):
    fill, most = Sparse.fill, []

    def noted(self, out, rows):
        most.append(len(out))
        fill(self, out, rows)

    monkeypatch.setattr(Sparse, "fill", noted)
    net = make("cython")
    net.fit(CSR, Y, epochs=1, validation_data=(CSR, Y))
    net.predict(CSR)
    net.evaluate(CSR, Y)
    assert most == [32]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_isa_gives_sparse_rows_the_same_bits(name):
    passes = pytest.importorskip("fastmlp.passes")
    sizes, arguments = NETWORKS[name]
    net = fastmlp.MLP(sizes, output="softmax", seed=2, **arguments)
    spec, found = net._learner.spec, set()
    for isa in (each["name"] for each in passes.isas() if each["available"]):
        engine = passes.Engine(spec, isa)
        engine.write(net._learner.engine.read())
        out, gradient = np.empty((N, 3), np.float32), {}
        engine.predict(as_sparse(CSR), out, 2)
        engine.gradient(as_sparse(CSR), Y.astype(np.int32), None, 2, gradient)
        found.add(out.tobytes() + gradient["layers.0.weight"].tobytes())
    assert len(found) == 1
