"""The compiled engine against the NumPy one: every method, every way in which arrays can come, its own errors."""

import numpy as np
import pytest
import random_networks as nets
from compiled import ISAS, Engine
from engine_calls import gradient_of, layers_of, run_steps, set_layers, set_states, states_of
from random_networks import HEADS, fill, flat, targets, targets_of_every_kind, train

from fastmlp import reference
from fastmlp import spec as specs
from fastmlp.passes import kernels, permutation, probes
from fastmlp.spec import NetworkSpec

CLOSE = {"float64": {"rtol": 1e-11, "atol": 1e-13}, "float32": {"rtol": 2e-4, "atol": 2e-5}}
#: Widths that leave panels of every ISA empty, half full, full and one column over.
SIZES = [(1, 1), (3, 5, 2), (33, 17, 9), (16, 32, 64, 8), (70, 130, 1)]


def pair(spec, seed=0):
    """A compiled and a NumPy engine with the same parameters."""
    return fill(Engine(spec), spec, seed), fill(reference.Engine(spec), spec, seed)


def assert_lists_close(got, wanted, **tolerance):
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, **tolerance)


# --- every method against the reference ------------------------------------------------------------------------------


def network(loss, output, sizes, dtype):
    """With hidden activations that differ from layer to layer and from output to output."""
    names = specs.ACTIVATION_NAMES
    hidden = [names[(i + len(output)) % len(names)] for i in range(len(sizes) - 2)]
    return NetworkSpec.make(sizes, hidden, output, loss, dtype)


def rows(spec, n=43):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, spec.sizes[0])).astype(spec.dtype), rng.random(n) * rng.integers(0, 2, n)


every_network = [
    pytest.mark.parametrize("threads", [1, 3]),
    pytest.mark.parametrize("dtype", ["float32", "float64"]),
    pytest.mark.parametrize("sizes", SIZES, ids=str),
    pytest.mark.parametrize(("loss", "output"), HEADS),
]


def of_every_network(test):
    for mark in every_network:
        test = mark(test)
    return test


@of_every_network
def test_outputs_and_losses_of_rows(loss, output, sizes, dtype, threads):
    spec = network(loss, output, sizes, dtype)
    X, _ = rows(spec)
    for y in targets_of_every_kind(spec, len(X)):
        found = []
        for engine in pair(spec):
            predicted, evaluated = (np.full((len(X), sizes[-1]), np.nan, dtype) for _ in range(2))
            row_loss = np.full(len(X), np.nan)
            engine.predict(X, predicted, threads)
            engine.evaluate(X, y, evaluated, row_loss, threads)
            found.append([predicted, evaluated, row_loss])
        assert_lists_close(*found, **CLOSE[dtype])


@of_every_network
def test_gradients(loss, output, sizes, dtype, threads):
    spec = network(loss, output, sizes, dtype)
    X, weight = rows(spec)
    for y in targets_of_every_kind(spec, len(X)):
        for w in (None, weight):
            ours, theirs = (gradient_of(engine, X, y, w, threads) for engine in pair(spec))
            assert ours[0] == pytest.approx(theirs[0], rel=CLOSE[dtype]["rtol"])
            assert_lists_close(ours[1], theirs[1], **CLOSE[dtype])
            assert_lists_close(ours[2], theirs[2], **CLOSE[dtype])


@of_every_network
def test_traces(loss, output, sizes, dtype, threads):
    spec = network(loss, output, sizes, dtype)
    X, _ = rows(spec)
    ours, theirs = pair(spec)
    for y in targets_of_every_kind(spec, len(X)):
        for got, wanted in zip(ours.trace(X, y, threads), theirs.trace(X, y, threads), strict=True):
            assert_lists_close(got, wanted, **CLOSE[dtype])
    assert ours.trace(X, None, threads)[2] is None


@pytest.mark.parametrize(("loss", "output"), HEADS)
def test_weights_of_zero_teach_nothing(loss, output):
    spec = network(loss, output, (33, 17, 9), "float32")
    X, _ = rows(spec)
    for y in targets_of_every_kind(spec, len(X)):
        value, *gradient = gradient_of(fill(Engine(spec), spec), X, y, np.zeros(len(X)), 2)
        assert value == 0
        assert not flat(gradient).any()


@pytest.mark.parametrize(("loss", "output"), [head for head in HEADS if head[1] != "sign"])
def test_random_networks_have_something_to_learn(loss, output):
    """Or what agrees with the reference may agree in nothing."""
    for sizes in SIZES[1:4]:  # of more than one output: a softmax of one is 1
        spec = network(loss, output, sizes, "float32")
        X, weight = rows(spec)
        for w in (None, weight):
            value, *gradient = gradient_of(fill(Engine(spec), spec), X, targets(spec, len(X)), w, 2)
            assert value > 0
            assert flat(gradient).any()


def test_a_sign_at_the_end_teaches_nothing():
    spec = network("squared_error", "sign", (33, 17, 9), "float32")
    X, _ = rows(spec)
    value, *gradient = gradient_of(fill(Engine(spec), spec), X, targets(spec, len(X)), None, 2)
    assert value > 0
    assert not flat(gradient).any()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 3, 16, 57, 1000])
@pytest.mark.parametrize(**nets.every_optimizer)
@pytest.mark.parametrize("loss", specs.LOSS_NAMES)
def test_train(loss, optimizer, batch_size, threads):
    spec = NetworkSpec.make([19, 35, 18, 4], ["tanh", "softplus"], loss=loss, dtype="float64")
    rng, n = np.random.default_rng(2), 57
    X, y = rng.normal(size=(n, 19)), targets(spec, n, labels=loss == "cross_entropy")
    weight = rng.random(n) * rng.integers(0, 3, n)
    order = rng.integers(0, n, 70)  # some rows more than once, some never
    for w in (None, weight):
        results = []
        for engine in pair(spec):
            squared_weights = np.full(-(-len(order) // batch_size), np.nan)
            run, losses = train(
                engine, X, y, order, batch_size, optimizer, weight=w, threads=threads, squared_weights=squared_weights
            )
            assert run == specs.Outcome(len(losses), "done", None)
            state = [flat(slot) for slot in states_of(engine)]
            results.append([losses, squared_weights, flat(layers_of(engine)), *state])
        assert_lists_close(*results, rtol=1e-8, atol=1e-11)
        before = layers_of(pair(spec)[0])
        assert not np.allclose(results[0][2], flat(before), atol=1e-4)
        assert results[0][1][0] == pytest.approx(sum((W * W).sum() for W in before[0]), rel=1e-13)


def test_the_last_smaller_batch_is_the_mean_of_its_own_rows():
    spec = NetworkSpec.make([3, 2], dtype="float64")
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    for batch_size, last in ((3, slice(6, 7)), (5, slice(5, 7))):
        engine = fill(Engine(spec), spec)
        # No step moves anything: each loss is that of the first parameters.
        _, losses = train(engine, X, y, np.arange(7), batch_size, specs.SGD(1e-300))
        row_loss = np.empty(7)
        engine.evaluate(X, y, np.empty((7, 2)), row_loss, 1)
        assert losses[-1] == pytest.approx(row_loss[last].mean(), rel=1e-14)


def test_runs_of_other_batch_sizes_follow_each_other():
    """The workspace of one batch size must not leave anything behind for the next."""
    spec = NetworkSpec.make([5, 40, 3], "tanh", dtype="float64")
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(64, 5)), targets(spec, 64)
    engines = pair(spec)
    step = 0
    for number, batch_size in enumerate((64, 3, 17, 1, 64)):
        order = rng.permutation(64)
        for engine in engines:
            train(engine, X, y, order, batch_size, nets.OPTIMIZERS["adam"], threads=1 + number % 3, start=step)
        step += -(-64 // batch_size)
    np.testing.assert_allclose(*(flat(layers_of(e)) for e in engines), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("widths", [(37, 45, 3), (290, 300, 3)], ids=["microbatches", "parts"])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_train_with_batches_too_large_for_the_caches(optimizer, widths):
    """They are cut; the smaller batch after them goes through the network in one."""
    spec = NetworkSpec.make(widths, "tanh", loss="cross_entropy", dtype="float64")
    rng, n = np.random.default_rng(13), 5200
    X, y, weight = rng.normal(size=(n, widths[0])), targets(spec, n, labels=True), rng.integers(0, 3, n) / 2
    order, results = rng.permutation(n), []
    for engine in pair(spec):
        squared_weights = np.empty(2)
        _, losses = train(
            engine, X, y, order, 5000, nets.OPTIMIZERS[optimizer], weight=weight,
            threads=2, squared_weights=squared_weights,
        )  # fmt: skip
        results.append([losses, squared_weights, flat(layers_of(engine))])
    assert_lists_close(*results, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", specs.OPTIMIZER_NAMES)
def test_state_can_be_taken_out_and_put_back(name):
    spec = NetworkSpec.make([35, 20, 3], dtype="float32")
    optimizer = nets.with_state(name)
    rng = np.random.default_rng(5)
    X, y, order = rng.normal(size=(40, 35)), targets(spec, 40), rng.permutation(40)
    through = fill(Engine(spec), spec)
    train(through, X, y, np.concatenate([order, order]), 8, optimizer)
    halves = fill(Engine(spec), spec)
    train(halves, X, y, order, 8, optimizer)
    state = states_of(halves)
    assert all(flat(slot).any() for slot in state)
    resumed = Engine(spec)
    set_layers(resumed, *layers_of(halves))
    resumed.use_optimizer(name)
    assert not any(flat(slot).any() for slot in states_of(resumed))  # a new optimizer starts from zero
    set_states(resumed, state)
    train(resumed, X, y, order, 8, optimizer, start=5)
    assert flat(layers_of(resumed)).tobytes() == flat(layers_of(through)).tobytes()
    for ours, theirs in zip(states_of(resumed), states_of(through), strict=True):
        assert flat(ours).tobytes() == flat(theirs).tobytes()
    with pytest.raises(ValueError, match=f"kind must be one of 'parameters'.*, got 'state.{len(state)}'"):
        set_states(resumed, [*state, layers_of(resumed)])
    resumed.use_optimizer(None)
    assert states_of(resumed) == []


def test_parameters_come_back_as_copies():
    spec = NetworkSpec.make([37, 70, 3], dtype="float32")
    engine = Engine(spec)
    assert not flat(layers_of(engine)).any()
    fill(engine, spec)
    weights, biases = layers_of(engine)
    wanted = layers_of(fill(reference.Engine(spec), spec))
    assert flat((weights, biases)).tobytes() == flat(wanted).tobytes()
    for array in [*weights, *biases]:
        assert array.flags.c_contiguous
        array.fill(9)
    assert flat(layers_of(engine)).tobytes() == flat(wanted).tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [2, 20])
def test_a_loss_that_is_not_finite_stops_before_its_update(batch_size, threads, bad):
    spec = NetworkSpec.make([4, 9, 2], dtype="float32")
    rng = np.random.default_rng(6)
    X, y, order = rng.normal(size=(60, 4)), targets(spec, 60), np.arange(60)
    X[46, 3] = bad
    step = 46 // batch_size
    engine, clean = fill(Engine(spec), spec), fill(Engine(spec), spec)
    run, losses = train(engine, X, y, order, batch_size, specs.SGD(0.01), threads=threads)
    assert run == specs.Outcome(step, "non_finite", None)
    _, wanted = train(clean, X, y, order[: step * batch_size], batch_size, specs.SGD(0.01))
    np.testing.assert_array_equal(losses[:step], wanted)
    assert flat(layers_of(engine)).tobytes() == flat(layers_of(clean)).tobytes()


# --- ways in which arrays can come -----------------------------------------------------------------------------------


def layouts(array, folder):
    """The same numbers in other memory: strided both ways, Fortran order, reversed, odd offsets, read-only, memmap."""
    n, m = array.shape
    padded = np.zeros((2 * n + 3, 3 * m + 2), array.dtype)
    padded[1 : 2 * n : 2, 2 : 3 * m + 1 : 3] = array
    reversed_ = np.ascontiguousarray(array[::-1, ::-1])
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(array.tobytes(), np.uint8)
    read_only = array.copy()
    read_only.flags.writeable = False
    path = folder / f"{array.dtype}.bin"
    array.tofile(path)
    return {
        "C": array,
        "Fortran": np.asfortranarray(array),
        "strided": padded[1 : 2 * n : 2, 2 : 3 * m + 1 : 3],
        "reversed": reversed_[::-1, ::-1],
        "unaligned": raw[1:].view(array.dtype).reshape(n, m),
        "read-only": read_only,
        "memmap": np.memmap(path, array.dtype, "r", shape=(n, m)),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", nets.SOURCES)
def test_sources_and_strides(source, dtype, tmp_path):
    """What comes in another dtype or another layout is the same as its copy in the network's dtype, bit for bit."""
    spec = NetworkSpec.make([37, 11, 5], "tanh", dtype=dtype)
    rng, n = np.random.default_rng(7), 29
    if source.startswith("float"):
        X, y = rng.normal(size=(n, 37)).astype(source), rng.normal(size=(n, 5)).astype(source)
    else:
        info = np.iinfo(source)
        X, y = (rng.integers(max(info.min, -99), min(info.max, 99), (n, m)).astype(source) for m in (37, 5))
        X[0, 0], X[-1, -1] = info.min, info.max
    order = rng.integers(0, n, 40)
    plain_X, plain_y = X.astype(dtype), y.astype(dtype)

    def results(X, y):
        engine = fill(Engine(spec), spec)
        out, again, row_loss = np.empty((n, 5), dtype), np.empty((n, 5), dtype), np.empty(n)
        engine.predict(X, out, 2)
        engine.evaluate(X, y, again, row_loss, 1)
        trace = engine.trace(X, y, 1)
        _, *gradient = gradient_of(engine, X, y, None, 2)
        _, losses = train(engine, X, y, order, 8, specs.SGD(1e-6), threads=2)
        pieces = [out, again, row_loss, *trace[0], *trace[2], flat(gradient), losses, flat(layers_of(engine))]
        return b"".join(piece.tobytes() for piece in pieces)

    wanted = results(plain_X, plain_y)
    ys = layouts(y, tmp_path)
    (tmp_path / "x").mkdir()
    for name, array in layouts(X, tmp_path / "x").items():
        assert results(array, ys[name]) == wanted, name


def test_every_float16_is_read_exactly():
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = bits[np.isfinite(bits)].reshape(-1, 1)
    for dtype in ("float32", "float64"):
        engine = Engine(NetworkSpec.make([1, 1], dtype=dtype))
        set_layers(engine, [np.ones((1, 1), dtype)], [np.full(1, -0.0, dtype)])
        out = np.empty((len(finite), 1), dtype)
        engine.predict(finite, out, 1)
        np.testing.assert_array_equal(out, finite.astype(dtype))


def test_float64_inputs_are_rounded_once():
    x = np.random.default_rng(8).normal(size=(50, 1)) * 1e3
    engine = Engine(NetworkSpec.make([1, 1], dtype="float32"))
    set_layers(engine, [np.ones((1, 1), "float32")], [np.zeros(1, "float32")])
    out = np.empty((50, 1), "float32")
    engine.predict(x, out, 1)
    np.testing.assert_array_equal(out, x.astype("float32"))


def test_labels_may_be_read_only_and_strided():
    spec = NetworkSpec.make([3, 4], loss="cross_entropy")
    engine = fill(Engine(spec), spec)
    X, y = np.random.default_rng(9).normal(size=(20, 3)), targets(spec, 20, labels=True)
    wanted = gradient_of(engine, X, y, None, 1)
    twice = np.repeat(y, 2)
    twice.flags.writeable = False
    for labels in (twice[::2], twice[::-2][::-1]):
        got = gradient_of(engine, X, labels, None, 1)
        assert got[0] == wanted[0]
        assert flat(got[1:]).tobytes() == flat(wanted[1:]).tobytes()


# --- rows in chunks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "output"), [("cross_entropy", "softmax"), ("squared_error", "tanh")])
def test_rows_do_not_depend_on_those_beside_them(loss, output, dtype):
    """Many rows, a few rows and single rows go through other kernels and other blocks, and give the same bits."""
    spec = NetworkSpec.make([21, 70, 33, 3], "elu", output, loss, dtype)
    engine = fill(Engine(spec), spec)
    rng, n = np.random.default_rng(10), 2999
    X, y = rng.normal(size=(n, 21)).astype(dtype), targets(spec, n)
    whole, row_loss = np.empty((n, 3), dtype), np.empty(n)
    engine.predict(X, whole, 1)
    again = np.empty_like(whole)
    engine.evaluate(X, y, again, row_loss, 1)
    if loss == "cross_entropy":
        np.testing.assert_allclose(again, whole, **CLOSE[dtype])
    else:
        assert again.tobytes() == whole.tobytes()
    for length, threads in ((1, 1), (2, 1), (3, 3), (4, 1), (7, 2), (500, 3), (n, 3)):
        for start in {0, 1, n - length} & set(range(n - length + 1)) | set(range(0, n - length, 211)):
            rows = slice(start, start + length)
            part, evaluated, losses = np.empty((length, 3), dtype), np.empty((length, 3), dtype), np.empty(length)
            engine.predict(X[rows], part, threads)
            engine.evaluate(X[rows], y[rows], evaluated, losses, threads)
            assert part.tobytes() == whole[rows].tobytes(), rows
            assert evaluated.tobytes() == again[rows].tobytes(), rows
            assert losses.tobytes() == row_loss[rows].tobytes(), rows


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_over_more_rows_than_a_chunk(weighted):
    """gradient takes 64 MiB of rows at once; wide inputs make that few. The sums go on where a chunk stopped."""
    spec = NetworkSpec.make([9000, 2, 1], "tanh", dtype="float64")
    n = 64 * 2**20 // (8 * 9000) + 70
    engine = fill(Engine(spec), spec)
    rng = np.random.default_rng(11)
    X, y = rng.integers(0, 255, (n, 9000), dtype=np.uint8), rng.normal(size=(n, 1))
    weight = rng.random(n) if weighted else None
    value, *gradient = gradient_of(engine, X, y, weight, 2)
    w = np.full(n, 1 / n) if weight is None else weight / weight.sum()
    parts = [gradient_of(engine, X[rows], y[rows], w[rows], 1) for rows in (slice(300), slice(300, n))]
    shares = [w[:300].sum(), w[300:].sum()]
    assert value == pytest.approx(sum(s * part[0] for s, part in zip(shares, parts, strict=True)), rel=1e-12)
    wanted = sum(s * flat(part[1:]) for s, part in zip(shares, parts, strict=True))
    np.testing.assert_allclose(flat(gradient), wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    # Rows of the last chunk count: without them the gradient is another.
    assert not np.allclose(flat(gradient), flat(parts[0][1:]), rtol=1e-3)


def test_trace_in_chunks():
    spec = NetworkSpec.make([9000, 3], "tanh", dtype="float64")
    n = 64 * 2**20 // (8 * 9000) + 5
    engine = fill(Engine(spec), spec)
    X, y = np.random.default_rng(12).integers(0, 9, (n, 9000), dtype=np.uint8), targets(spec, n)
    whole = engine.trace(X, y, 1)
    for rows in (slice(0, 2), slice(n - 7, n)):
        for ours, part in zip(whole, engine.trace(X[rows], y[rows], 1), strict=True):
            assert ours[0][rows].tobytes() == part[0].tobytes()


def test_no_rows_have_no_mean():
    engine = Engine(NetworkSpec.make([3, 4, 2]))
    with pytest.raises(ValueError, match="rows"):
        gradient_of(engine, np.empty((0, 3)), np.empty((0, 2)), None, 1)


def test_no_rows():
    spec = NetworkSpec.make([3, 4, 2])
    engine, X = fill(Engine(spec), spec), np.empty((0, 3))
    engine.predict(X, np.empty((0, 2), "float32"), 2)
    engine.evaluate(X, np.empty((0, 2)), np.empty((0, 2), "float32"), np.empty(0), 2)
    assert [z.shape for z in engine.trace(X, None, 1)[0]] == [(0, 4), (0, 2)]
    engine.use_optimizer("sgd")
    assert run_steps(engine, X, X[:, :2], np.empty(0, np.int64), 4, np.empty((0, 5)), None, np.empty(0), 2).steps == 0


# --- permutation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 63, 1000, 100_003])
def test_permutation_is_the_references(n):
    for seed, epoch in ((0, 0), (1, 7), (2**64 - 1, 2**32 - 1), (2**40 + 5, 3)):
        ours, theirs = permutation(seed, epoch, n), reference.permutation(seed, epoch, n)
        assert ours.dtype == theirs.dtype == np.int64
        np.testing.assert_array_equal(ours, theirs)


def test_permutation_in_the_place_of_an_older_one():
    order = permutation(0, 1, 1000)
    assert permutation(0, 2, 1000, order) is order
    np.testing.assert_array_equal(order, reference.permutation(0, 2, 1000, np.empty(1000, np.int64)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("blocks", [0, 1, 63, 64, 65, 200])
def test_random_numbers_are_the_references(isa, blocks):
    for seed, stream, substream, first in ((0, 1, 0, 0), (2**64 - 1, 2**32 - 1, 5, 2**32 - 70), (9, 2, 3, 2**64 - 7)):
        out = np.empty((blocks, 4), np.uint32)
        probes.philox(seed, stream, substream, first, out, isa)
        np.testing.assert_array_equal(out, reference.random.philox(seed, stream, substream, first, blocks))


def test_a_block_of_random_numbers_has_four():
    with pytest.raises(ValueError, match="four numbers, not 3"):
        probes.philox(0, 1, 0, 0, np.empty((2, 3), np.uint32))


@pytest.mark.parametrize("bits", [1, 2, 8, 11, 15, 16])
@pytest.mark.parametrize("distinct", [1, 50, 2**32])
def test_rows_are_sorted_by_key_and_equal_keys_by_row(bits, distinct):
    keys = np.random.default_rng(0).integers(0, distinct, 1000, np.uint32) * np.uint32(max((2**32 - 1) // distinct, 1))
    order = np.empty(len(keys), np.int64)
    kernels.rows_by_key(keys, bits, order)
    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


def test_sort_of_rows_refuses_what_does_not_fit():
    keys, order = np.zeros(5, np.uint32), np.zeros(5, np.int64)
    for wrong in ((keys, 0, order), (keys, 17, order), (keys, 8, order[:4])):
        with pytest.raises(ValueError, match="digits of"):
            kernels.rows_by_key(*wrong)


# --- errors of the engine itself -------------------------------------------------------------------------------------


def call(engine, method, **changes):
    """One valid call with some arguments replaced."""
    X, n = np.ones((6, 3)), 6
    arguments = {
        "predict": {"X": X, "out": np.empty((n, 2), "float32"), "threads": 1},
        "evaluate": {
            "X": X, "y": np.ones((n, 2)), "out": np.empty((n, 2), "float32"), "row_loss": np.empty(n), "threads": 1,
        },
        "gradient": {"X": X, "y": np.ones((n, 2)), "weight": None, "threads": 1},
        "trace": {"X": X, "y": np.ones((n, 2)), "threads": 1},
        "train": {
            "X": X, "y": np.ones((n, 2)), "order": np.arange(n), "batch_size": 2,
            "table": specs.SGD(0.1).scalars(0, 3), "weight": None, "losses": np.empty(3), "threads": 1,
        },
    }[method]  # fmt: skip
    chosen = arguments | changes
    if method == "train":
        threads = chosen.pop("threads")
        return engine.train(specs.Run(**chosen), threads)
    return getattr(engine, method)(**chosen)


WRONG = [
    *[
        (method, {"X": X}, error)
        for method in ("predict", "evaluate", "gradient", "trace", "train")
        for X, error in [
            (np.ones((6, 4)), ValueError),
            (np.ones((6, 2)), ValueError),
            (np.ones(6), ValueError),
            (np.ones((6, 3, 1)), TypeError),
            (np.ones((6, 3), ">f8"), TypeError),
            (np.ones((6, 3), complex), TypeError),
            (np.ones((6, 3), "uint16"), TypeError),
            (np.ones((6, 3), bool), TypeError),
        ]
    ],
    *[
        (method, {"y": y}, error)
        for method in ("evaluate", "gradient", "trace", "train")
        for y, error in [
            (np.ones((6, 1)), ValueError),
            (np.ones((6, 3)), ValueError),
            (np.ones((5, 2)), ValueError),
            (np.ones((7, 2)), ValueError),
            (np.ones((6, 2), ">f4"), TypeError),
            (np.ones(6), TypeError),
            (np.ones(6, np.int64), TypeError),
            (np.ones(5, np.int32), ValueError),
            (np.full(6, 2, np.int32), ValueError),
            (np.full(6, -1, np.int32), ValueError),
        ]
    ],
    ("predict", {"out": np.empty((6, 3), "float32")}, ValueError),
    ("predict", {"out": np.empty((5, 2), "float32")}, ValueError),
    ("predict", {"out": np.empty((6, 2), "float64")}, ValueError),
    ("predict", {"out": np.empty((6, 4), "float32")[:, ::2]}, ValueError),
    ("predict", {"out": np.empty((2, 6), "float32").T}, ValueError),
    ("evaluate", {"row_loss": np.empty(5)}, ValueError),
    ("evaluate", {"row_loss": np.empty(7)}, ValueError),
    ("evaluate", {"row_loss": np.empty(6, "float32")}, ValueError),
    ("evaluate", {"row_loss": np.empty(12)[::2]}, ValueError),
    ("evaluate", {"row_loss": None}, TypeError),
    *[
        (method, {"weight": weight}, ValueError)
        for method in ("gradient", "train")
        for weight in (np.ones(5), np.ones(7), np.ones(6, "float32"), np.ones((6, 1)), np.ones(12)[::2])
    ],
    ("train", {"order": np.array([0, 1, 2, 3, 4, 6])}, ValueError),
    ("train", {"order": np.array([0, 1, 2, 3, 4, -1])}, ValueError),
    ("train", {"order": np.arange(6, dtype=np.int32)}, ValueError),
    ("train", {"order": np.arange(12)[::2]}, ValueError),
    ("train", {"order": np.arange(5), "batch_size": 1}, ValueError),
    ("train", {"order": None}, TypeError),
    ("train", {"batch_size": 0}, ValueError),
    ("train", {"batch_size": -2}, ValueError),
    ("train", {"batch_size": 3}, ValueError),
    ("train", {"losses": np.empty(2)}, ValueError),
    ("train", {"losses": np.empty(4)}, ValueError),
    ("train", {"losses": np.empty(3, "float32")}, ValueError),
    ("train", {"squared_weights": np.empty(2)}, ValueError),
    ("train", {"squared_weights": np.empty(4)}, ValueError),
    ("train", {"table": specs.SGD(0.1).scalars(0, 2)}, ValueError),
    ("train", {"table": specs.SGD(0.1).scalars(0, 3).astype("float32")}, ValueError),
    ("train", {"table": np.ones(3)}, ValueError),
]


@pytest.mark.parametrize(("method", "changes", "error"), WRONG)
def test_wrong_arrays_are_refused_and_change_nothing(method, changes, error):
    spec = NetworkSpec.make([3, 5, 2], output="softmax", loss="cross_entropy")
    engine = fill(Engine(spec), spec)
    engine.use_optimizer("sgd")
    before = flat(layers_of(engine)).tobytes()
    with pytest.raises(error):
        call(engine, method, **changes)
    assert flat(layers_of(engine)).tobytes() == before
    call(engine, method)


def test_read_only_results_are_refused():
    spec = NetworkSpec.make([3, 5, 2])
    engine = fill(Engine(spec), spec)
    engine.use_optimizer("sgd")
    for method, name, array in (
        ("predict", "out", np.zeros((6, 2), "float32")),
        ("evaluate", "row_loss", np.zeros(6)),
        ("train", "losses", np.zeros(3)),
    ):
        array.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            call(engine, method, **{name: array})
        assert not array.any()


def test_training_needs_an_optimizer():
    engine = Engine(NetworkSpec.make([3, 5, 2]))
    with pytest.raises(ValueError, match="optimizer"):
        call(engine, "train")
    with pytest.raises(ValueError, match="lbfgs"):
        engine.use_optimizer("lbfgs")
    engine.use_optimizer("adam")
    with pytest.raises(ValueError, match="tensors are"):
        engine.write({}, "state.0")


@pytest.fixture(params=["numpy", "compiled"])
def either(request):
    """An engine of each backend for a small network, and its specification."""
    spec = NetworkSpec.make([3, 5, 2])
    return fill(reference.Engine(spec) if request.param == "numpy" else Engine(spec), spec), spec


def test_tensors_are_read_and_written_by_name_and_kind(either):
    engine, _ = either
    names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert engine.kinds == ("parameters",)
    assert list(engine.read()) == names
    assert [tensor.shape for tensor in engine.read("parameters").values()] == [(3, 5), (5,), (5, 2), (2,)]
    engine.use_optimizer("adam")
    assert engine.kinds == ("parameters", "state.0", "state.1")
    for number, kind in enumerate(engine.kinds):
        engine.write({name: tensor + number for name, tensor in engine.read().items()}, kind)
    for name, tensor in engine.read().items():
        np.testing.assert_array_equal(engine.read("state.1")[name], tensor + np.float32(2))
    engine.use_optimizer("adam")
    assert not any(tensor.any() for kind in engine.kinds[1:] for tensor in engine.read(kind).values())
    for kind in ("gradient", "state.2", "weights", None):
        with pytest.raises(ValueError, match=r"kind must be one of 'parameters', 'state.0', 'state.1', got "):
            engine.read(kind)
        with pytest.raises(ValueError, match=r"kind must be one of 'parameters', 'state.0', 'state.1', got "):
            engine.write(engine.read(), kind)
    tensors = engine.read()
    for wrong in ({}, tensors | {"layers.2.bias": tensors["layers.1.bias"]}, dict(list(tensors.items())[1:])):
        with pytest.raises(ValueError, match=r"tensors are .*; they must be layers.0.weight, layers.0.bias"):
            engine.write(wrong)


def test_the_gradient_stays_until_the_next(either):
    engine, spec = either
    X, y, filled = np.random.default_rng(0).normal(size=(6, 3)), targets(spec, 6), {}
    loss = engine.gradient(X, y, None, 1, filled)
    assert engine.kinds == ("parameters", "gradient")
    train(engine, X, y, np.arange(6), 2, nets.OPTIMIZERS["sgd"])
    kept = engine.read("gradient")
    assert list(kept) == list(engine.read())
    assert all(kept[name].tobytes() == tensor.tobytes() for name, tensor in filled.items())
    assert engine.gradient(X, y, None, 1) < loss
    assert not any((kept[name] == tensor).all() for name, tensor in engine.read("gradient").items())


def test_the_count_of_updates_can_be_set(either):
    engine, _ = either
    engine.use_optimizer("adam")
    assert engine.n_steps == 0
    engine.n_steps = 7
    copy = engine.copy()
    engine.use_optimizer("adam")
    assert engine.n_steps == 0
    engine.restore(copy)
    assert engine.n_steps == 7


@pytest.mark.parametrize("weighted", [False, True])
def test_a_run_says_what_its_batches_weigh(either, weighted):
    engine, spec = either
    rng = np.random.default_rng(0)
    X, y, order = rng.normal(size=(20, 3)), targets(spec, 20), rng.permutation(20)
    weight = rng.random(20) if weighted else None
    outcome, _ = train(engine, X, y, order, 6, nets.OPTIMIZERS["sgd"], weight=weight)
    wanted = [len(rows) if weight is None else weight[rows].sum() for rows in np.split(order, [6, 12, 18])]
    np.testing.assert_allclose(outcome.weight_sums, wanted, rtol=1e-15)
    assert outcome.weight_sums.tobytes() == engine.weight_sums(weight, order, 6).tobytes()


@pytest.mark.parametrize("name", specs.OPTIMIZER_NAMES)
def test_rows_of_scalars_have_the_optimizers_length(name):
    engine = Engine(NetworkSpec.make([3, 5, 2]))
    engine.use_optimizer(name)
    length = len(kernels.optimizers()[name]["columns"])
    for columns in {0, 1, length - 1, length + 1}:
        with pytest.raises(ValueError, match="table"):
            call(engine, "train", table=np.ones((3, columns)))
    call(engine, "train", table=np.ones((3, length)))


def test_wrong_parameters_are_refused_and_change_nothing():
    spec = NetworkSpec.make([3, 5, 2])
    engine = fill(Engine(spec), spec)
    before = flat(layers_of(engine)).tobytes()
    weights, biases = layers_of(engine)
    wrong = [
        ([weights[0], weights[1].T], biases),
        ([weights[0] + 1, weights[1].astype("float64")], biases),
        ([weights[0] + 1, weights[1]], [biases[0], biases[1][:1]]),
        ([weights[0] + 1], biases),
        ([weights[0] + 1, weights[1]], biases[:1]),
    ]
    for attempt in wrong:
        with pytest.raises((ValueError, IndexError)):
            set_layers(engine, *attempt)
        assert flat(layers_of(engine)).tobytes() == before


def test_an_engine_of_an_unknown_isa():
    with pytest.raises(ValueError, match=r"isa is 'sse9'; this machine can run: .*scalar"):
        Engine(NetworkSpec.make([1, 1]), "sse9")


@pytest.mark.parametrize(("output", "loss"), [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy")])
def test_deltas_that_would_end_in_denormal_numbers_are_zero(output, loss):
    for dtype, gone, kept in (("float32", -60.0, -30.0), ("float64", -400.0, -60.0)):
        spec = NetworkSpec.make([1, 4], output=output, loss=loss, dtype=dtype)
        engine = Engine(spec)
        set_layers(engine, [np.zeros((1, 4), dtype)], [np.array([0.0, 0.0, gone, kept], dtype)])
        y = np.array([[1.0, 0.0, 0.0, 0.0]], dtype)
        _, _, (gradient,) = gradient_of(engine, np.ones((1, 1), dtype), y, None, 1)
        assert gradient[2] == 0
        assert gradient[3] == pytest.approx(np.exp(kept) / (2 if output == "softmax" else 1), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dead", [[1], [0, 2], [16], [3, 20, 39]], ids=str)
@pytest.mark.parametrize("isa", ["numpy", *ISAS])
def test_a_class_with_neither_target_nor_probability_is_no_loss(isa, dead, dtype):
    """Its shifted logit is -infinity, which 0 times would be NaN. The others share the probability."""
    n = max(3, max(dead) + 1)
    largest = float(np.finfo(dtype).max)
    alive = np.setdiff1d(np.arange(n), dead)
    bias = np.full(n, largest)
    bias[dead] = -largest
    spec = NetworkSpec.make([2, n], output="softmax", loss="cross_entropy", dtype=dtype)
    engine = reference.Engine(spec) if isa == "numpy" else Engine(spec, isa)
    set_layers(engine, [np.zeros((2, n), dtype)], [bias.astype(dtype)])
    y = np.zeros((5, n))
    y[:, alive] = np.random.default_rng(0).dirichlet(np.ones(len(alive)), 5)
    X, out, row_loss = np.ones((5, 2)), np.empty((5, n), dtype), np.empty(5)
    engine.evaluate(X, y, out, row_loss, 1)
    assert not out[:, dead].any()
    np.testing.assert_allclose(out[:, alive], 1 / len(alive), rtol=1e-6)
    np.testing.assert_allclose(row_loss, np.log(len(alive)) * y.sum(axis=1), rtol=1e-6, atol=1e-12)
    loss, (gradient,), (by_bias,) = gradient_of(engine, X, y, None, 1)
    np.testing.assert_allclose(loss, row_loss.mean(), rtol=1e-6, atol=1e-12)
    assert not gradient[:, dead].any()
    np.testing.assert_allclose(by_bias[alive], (1 / len(alive) - y[:, alive]).mean(axis=0), rtol=1e-4, atol=1e-6)
    run, losses = train(engine, X, y, np.arange(5), 5, nets.OPTIMIZERS["sgd"])
    assert run.status == "done"
    np.testing.assert_allclose(losses[0], loss, rtol=1e-6)
    assert np.isfinite(flat(layers_of(engine))).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("sizes", "batch"),
    [((5, 3, 1), 8), ((37, 45, 33), 2), ((5, 3, 1), 300), ((37, 45, 33), 5000), ((290, 300, 9), 1000)],
    ids=["rows", "panels", "two microbatches", "microbatches", "parts"],
)
def test_a_step_whose_loss_is_not_finite_changes_nothing(sizes, batch, threads):
    """However the batch is cut, and wherever in it the bad row is."""
    spec = NetworkSpec.make(sizes, "tanh")
    rng = np.random.default_rng(0)
    X, order = rng.normal(size=(3 * batch, sizes[0])).astype("float32"), np.arange(3 * batch)
    one = fill(Engine(spec), spec)
    train(one, X, targets(spec, 3 * batch), order[:batch], batch, nets.OPTIMIZERS["adam"], threads=threads)
    for bad in (batch, batch + batch // 2, 2 * batch - 1):
        y = targets(spec, 3 * batch)
        y[bad, -1] = 1e30
        engine = fill(Engine(spec), spec)
        run, losses = train(engine, X, y, order, batch, nets.OPTIMIZERS["adam"], threads=threads)
        assert (run.status, run.steps) == ("non_finite", 1)
        assert np.isfinite(losses[0])
        assert flat(layers_of(engine)).tobytes() == flat(layers_of(one)).tobytes()
        for found, wanted in zip(states_of(engine), states_of(one), strict=True):
            assert flat(found).tobytes() == flat(wanted).tobytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", [(37, 70, 33), (290, 300, 9)], ids=str)
def test_batches_of_another_size_find_room(sizes, threads):
    """Larger and smaller ones, in microbatches, in parts and whole, are trained as by an engine that knew no others."""
    spec = NetworkSpec.make(sizes, "tanh")
    X = np.random.default_rng(0).normal(size=(1200, sizes[0])).astype("float32")
    y = targets(spec, 1200)
    engine = fill(Engine(spec), spec)
    for batch in (3, 1, 64, 200, 7, 1100, 300, 1200, 130):
        fresh = Engine(spec)
        set_layers(fresh, *layers_of(engine))
        order = np.arange(1200)[: 2 * batch]
        found = [
            train(each, X, y, order, batch, nets.OPTIMIZERS["momentum"], threads=threads) for each in (engine, fresh)
        ]
        assert found[0][1].tobytes() == found[1][1].tobytes()
        assert flat(layers_of(engine)).tobytes() == flat(layers_of(fresh)).tobytes()
