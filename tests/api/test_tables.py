"""Data in several arrays, and in whatever holds an array: the same bits as the one array with the same values, and
never a copy of all of it."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from conftest import parameters

import fastmlp
from fastmlp.data import Table, as_inputs, table
from fastmlp.data.table import Columns, Pieces

N = 60
VALUES = np.random.default_rng(0).integers(0, 100, (N, 4)).astype(np.float32)
Y = np.arange(N) % 3


def trained(X, y=Y, **arguments):
    """Everything that comes of a training and of predictions, as bytes."""
    net = fastmlp.MLP([4, 5, 3], output="softmax", dropout=0.2, seed=1)
    history = net.fit(X, y, epochs=2, batch_size=7, validation_data=(X, y), threads=2, **arguments)
    losses = np.array([history.loss, history["val_loss"], [net.evaluate(X, y)["loss"]] * 2])
    return parameters(net) + losses.tobytes() + net.predict(X).tobytes() + net.transform(X).tobytes()


class Exports:
    """An array's DLPack, and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


KINDS = {
    "float64": lambda X: X.astype(np.float64),
    "float16": lambda X: X.astype(np.float16),
    "uint8": lambda X: X.astype(np.uint8),
    "int16": lambda X: X.astype(np.int16),
    "strides": lambda X: np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3],
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "fortran": np.asfortranarray,
    "read-only": read_only,
    "buffer": memoryview,
    "dlpack": Exports,
    "chunks": lambda X: [X[:1], X[1:10].astype(np.int16), X[10:10], np.asfortranarray(X[10:])],
    "one chunk": lambda X: (X,),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_holder_of_the_values_gives_the_bits_of_the_array(kind):
    assert trained(KINDS[kind](VALUES)) == trained(VALUES)


def test_chunks_are_one_data_set_for_every_method(backend):
    chunks, labels = [VALUES[:23], VALUES[23:]], [Y[:23], Y[23:]]
    weight = np.linspace(0.5, 1, N)
    found = []
    for X, y, w in ((VALUES, Y, weight), (chunks, labels, [weight[:23], weight[23:]])):
        net = fastmlp.MLP([4, 3, 3], output="softmax", seed=2, backend=backend)
        net.fit(X, y, epochs=1, sample_weight=w, class_weight="balanced", shuffle=False)
        net.step(X, y)
        loss, weights, _ = net.loss_and_grad(X, y, w)
        answers = [net.input_gradient(X), net.trace(X, y).sensitivities[0], *weights, np.array(loss)]
        out = np.empty((N, 3), np.float32)
        found.append([parameters(net), net.predict(X, out=out).tobytes(), *(a.tobytes() for a in answers)])
    assert found[0] == found[1]


def test_chunks_that_do_not_fit_are_named():
    net = fastmlp.MLP([4, 3, 3], output="softmax", seed=0)
    with pytest.raises(ValueError, match=r"X\[1\] has shape \(3, 5\), 5 features; the network takes 4"):
        net.fit([VALUES, np.ones((3, 5))], Y)
    with pytest.raises(TypeError, match=r"X\[1\] has dtype"):
        net.fit([VALUES, np.full((3, 4), "a")], Y)
    broken = VALUES.copy()
    broken[7, 2] = np.nan
    for call in (lambda X: net.fit(X, Y), net.predict):
        with pytest.raises(ValueError, match="X has nan at row 37, column 2; all values must be finite"):
            call([VALUES[:30], broken[:30]])
    with pytest.raises(ValueError, match="y .* is not a rectangular array|y is not a rectangular array"):
        net.fit([VALUES[:30], VALUES[30:]], [Y[:30], Y[30:59]])
    hidden = np.ma.masked_equal(np.ones(N - 30), 1)
    with pytest.raises(ValueError, match=r"y\[1\] is a masked array"):
        net.fit(VALUES, [Y[:30], hidden])
    with pytest.raises(ValueError, match=r"sample_weight\[1\] is a masked array"):
        net.fit(VALUES, Y, sample_weight=[np.ones(30), hidden])
    assert net.n_steps == 0


CUTS = {
    "all": slice(None),
    "range": slice(3, 40),
    "steps": slice(5, 50, 7),
    "backwards": slice(None, None, -2),
    "none": slice(9, 9),
    "numbers": np.array([59, 0, 11, 11]),
    "from the end": [-1, 4, -60],
    "yes and no": np.arange(N) % 3 == 0,
}


@pytest.mark.parametrize("rows", CUTS.values(), ids=CUTS)
def test_a_table_is_cut_as_an_array_is(rows):
    pieces = as_inputs([VALUES[:10], VALUES[10:11], VALUES[11:]], 4)
    columns = Columns([VALUES[:, 0], Pieces([VALUES[:9, 1], VALUES[9:, 1]])], None)
    assert pieces[rows].tolist() == VALUES[rows].tolist()
    assert columns[rows].tolist() == VALUES[rows, :2].tolist()


@pytest.mark.parametrize("rows", [[60], [-61], np.ones(59, bool)], ids=["over", "under", "too few"])
def test_rows_that_a_table_has_not(rows):
    with pytest.raises(IndexError, match="60 rows|from -60 to 59"):
        as_inputs([VALUES[:10], VALUES[10:]], 4)[rows]


def test_chunks_on_disk_are_never_in_memory_as_a_whole(tmp_path):
    n, columns = 20_000, 100
    chunks = []
    for number in range(4):
        chunk = np.memmap(tmp_path / str(number), np.uint8, "w+", shape=(n, columns))
        chunk[:] = np.arange(n)[:, None] % (7 + number)
        chunks.append(chunk)
    y = np.zeros(4 * n)
    net = fastmlp.MLP([columns, 2, 1], seed=0)
    net.fit(chunks[:1], y[:n], epochs=1, batch_size=1000)
    tracemalloc.start()
    try:
        net.fit(chunks, y, epochs=1, batch_size=1000)
        net.predict(chunks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * n * columns // 2  # of bytes as they lie: the order and the row numbers are 8 for a row


# ---- frames ---------------------------------------------------------------------------------------------------------

COLUMNS = {
    "a": VALUES[:, 0],
    "b": VALUES[:, 1].astype(np.int16),
    "c": VALUES[:, 2] > 50,
    "d": VALUES[:, 3].astype(np.float64),
}
MIXED = np.column_stack(list(COLUMNS.values())).astype(np.float32)


def pandas_frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def polars_frame(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def arrow_table(columns):
    return pytest.importorskip("pyarrow").table(columns)


class Stream:
    """The Arrow stream of a table, and nothing else."""

    def __init__(self, table):
        self.__arrow_c_stream__ = table.__arrow_c_stream__


def chunked(columns):
    pyarrow = pytest.importorskip("pyarrow")
    whole = pyarrow.table(columns)
    return pyarrow.concat_tables([whole.slice(0, 11), whole.slice(11)])


def chunked_polars(columns):
    polars = pytest.importorskip("polars")
    whole = polars.DataFrame(columns)
    return polars.concat([whole[:11], whole[11:]], rechunk=False)


FRAMES = {
    "pandas": pandas_frame,
    "polars": polars_frame,
    "arrow": arrow_table,
    "arrow in chunks": chunked,
    "polars in chunks": chunked_polars,
    "arrow stream": lambda columns: Stream(arrow_table(columns)),
    "list of frames": lambda columns: [pandas_frame(columns)[:20], pandas_frame(columns)[20:]],
    "nullable pandas": lambda columns: pandas_frame(columns).convert_dtypes(),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_give_the_bits_of_the_array(kind):
    assert trained(FRAMES[kind](COLUMNS)) == trained(MIXED)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_no_column_of_numbers_is_copied(kind):
    frame = FRAMES[kind]({name: column for name, column in COLUMNS.items() if name != "c"})
    rows = as_inputs(frame, 3)
    assert isinstance(rows, Table)
    first, second = (
        [column.__array_interface__["data"][0] for column in t.columns] for t in (rows, as_inputs(frame, 3))
    )
    assert first == second
    assert not any(column.flags.owndata for column in rows.columns)


def test_a_frame_of_one_array_is_that_array():
    pandas = pytest.importorskip("pandas")
    for X in (VALUES, np.asfortranarray(VALUES)):
        rows = as_inputs(pandas.DataFrame(X, columns=list("abcd"), copy=False), 4)
        assert np.shares_memory(rows, X)
        assert rows.strides == X.strides


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_feature_names_are_kept_and_checked(kind, tmp_path):
    frame = FRAMES[kind]
    net = fastmlp.MLP([4, 3, 3], output="softmax", seed=0)
    net.fit(MIXED, Y, epochs=1)
    assert net.feature_names is None
    net.fit(frame(COLUMNS), Y, epochs=1)
    net.save(tmp_path / "net")
    turned = dict(reversed(COLUMNS.items()))
    others = {"e" if name == "b" else name: column for name, column in COLUMNS.items()}
    for same in (net, fastmlp.load(tmp_path / "net"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert same.feature_names == ("a", "b", "c", "d")
        assert same.predict(frame(COLUMNS)).tobytes() == same.predict(MIXED).tobytes()
        for call in (same.predict, lambda X, same=same: same.evaluate(X, Y), lambda X, same=same: same.fit(X, Y)):
            with pytest.raises(ValueError, match="X has the column 'd' where the network was trained on 'a'"):
                call(frame(turned))
            with pytest.raises(ValueError, match="X has not 'b' and has 'e'; the network was trained on"):
                call(frame(others))


@pytest.mark.parametrize("name", ["\udc80", "9" * 120], ids=["a surrogate", "digits"])
def test_names_that_could_not_be_read_again_replace_no_file(name, tmp_path):
    pandas = pytest.importorskip("pandas")
    net = fastmlp.MLP([1, 1], seed=0)
    net.save(tmp_path / "net")
    # Of objects: where pyarrow is installed, pandas keeps text in its memory, which no surrogate gets into.
    frame = pandas.DataFrame([[1.0], [2.0]], columns=pandas.Index([name], dtype=object))
    net.fit(frame, [1.0, 2.0], epochs=1)
    with pytest.raises(ValueError, match="feature_names"):
        net.save(tmp_path / "net")
    assert fastmlp.load(tmp_path / "net").n_epochs == 0


@pytest.mark.parametrize("kind", ["nullable pandas", "polars", "arrow"])
def test_what_a_frame_cannot_give_is_named(kind):
    net = fastmlp.MLP([2, 1])
    missing = {"a": [1, 2], "b": [1, None]}
    with pytest.raises(ValueError, match=r"X\['b'\] has 1 missing values"):
        net.predict(FRAMES[kind](missing))
    with pytest.raises(ValueError, match="X has nan at row 1, column 'b'"):
        net.predict(FRAMES["pandas"]({"a": [1, 2], "b": [1, np.nan]}))
    with pytest.raises(TypeError, match=r"X\['b'\] has dtype .*; it must have real numbers"):
        net.predict(FRAMES[kind]({"a": [1, 2], "b": ["x", "y"]}))


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_categories_are_codes_where_asked(kind):
    words = ["low", "high", "low", "high", "mid"]
    if kind == "pandas":
        frame = pandas_frame({"x": [1.0] * 5, "size": words}).astype({"size": "category"})
    elif kind == "polars":
        polars = pytest.importorskip("polars")
        frame = polars_frame({"x": [1.0] * 5, "size": words}).cast({"size": polars.Enum(["high", "low", "mid"])})
    else:
        pyarrow = pytest.importorskip("pyarrow")
        frame = pyarrow.table({"x": [1.0] * 5, "size": pyarrow.array(words).dictionary_encode()})
    with pytest.raises(TypeError, match=r"X\['size'\] has dtype .*categories='codes'"):
        fastmlp.MLP([2, 1]).predict(frame)
    train = table(frame, categories="codes")
    names = train.categories["size"]
    assert sorted(names) == ["high", "low", "mid"]
    assert [names[int(code)] for code in train[:][:, 1]] == words
    later = table(FRAMES[kind]({"x": [1.0, 2.0], "size": ["mid", "other"]}), categories=train.categories)
    assert later[:].tolist() == [[1.0, names.index("mid")], [2.0, -1.0]]
    net = fastmlp.MLP([2, 2, 1], seed=0)
    net.fit(train, np.ones(5), epochs=1)
    assert net.predict(later).tobytes() == net.predict(later[:]).tobytes()
    with pytest.raises(ValueError, match="categories has 'shape', which is no column of frame"):
        table(frame, categories={"shape": ["a"]})
    for wrong, error, message in (
        ("abc", TypeError, "be a sequence of categories, got 'abc'"),
        (3, TypeError, "be a sequence of categories, got 3"),
        (["a", "b", "a"], ValueError, "have each category once"),
    ):
        with pytest.raises(error, match=rf"categories\['size'\] must {message}"):
            table(frame, categories={"size": wrong})


def test_a_union_of_arrow_is_named():
    pyarrow = pytest.importorskip("pyarrow")
    union = pyarrow.UnionArray.from_sparse(pyarrow.array([0], pyarrow.int8()), [pyarrow.array([1])])
    with pytest.raises(TypeError, match=r"X\['b'\] has dtype sparse_union<.*; it must have real numbers"):
        fastmlp.MLP([2, 1]).predict(pyarrow.table({"a": [1.0], "b": union}))


def test_a_query_that_has_not_run_is_no_frame_yet():
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"X is a LazyFrame, which has no rows yet; pass X.collect\(\)"):
        fastmlp.MLP([2, 1]).predict(polars.LazyFrame({"a": [1.0], "b": [2.0]}))
