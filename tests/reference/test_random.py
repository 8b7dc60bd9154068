"""The counter-based random numbers: known answers, moments, correlations, quantiles against mpmath."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.reference import random

SEEDS = st.integers(0, 2**64 - 1)
WORDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),  # pi
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, answer):
    index, seed = counter[0] | counter[1] << 32, key[0] | key[1] << 32
    block = random.philox(seed, counter[3], counter[2], index, 1)
    assert block.dtype == np.uint32
    assert tuple(block[0].tolist()) == answer


def scalar_philox(seed, stream, substream, index):
    """The definition, on Python's integers."""
    low = 0xFFFFFFFF
    c, k = [index & low, index >> 32, substream, stream], [seed & low, seed >> 32]
    for _ in range(10):
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & low, (p0 >> 32) ^ c[3] ^ k[1], p0 & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return c


@given(SEEDS, WORDS, WORDS, st.integers(0, 2**64 - 4))
def test_philox_is_its_definition(seed, stream, substream, start):
    blocks = random.philox(seed, stream, substream, start, 3)
    assert blocks.tolist() == [scalar_philox(seed, stream, substream, start + i) for i in range(3)]


def test_philox_does_not_depend_on_where_a_run_starts():
    whole = random.philox(5, 1, 2, 0, 40_000)
    np.testing.assert_array_equal(whole[12_345:12_400], random.philox(5, 1, 2, 12_345, 55))
    assert random.philox(5, 1, 2, 0, 0).shape == (0, 4)


@given(SEEDS, WORDS, st.integers(0, 300))
def test_permutation_is_one_sorted_by_key_and_then_by_row(seed, epoch, n):
    order = random.permutation(seed, epoch, n)
    assert order.dtype == np.int64
    assert order.flags.c_contiguous
    keys = [scalar_philox(seed, random.SHUFFLE, epoch, r // 4)[r % 4] for r in range(n)]
    assert order.tolist() == sorted(range(n), key=keys.__getitem__)


def test_permutation_is_stable(monkeypatch):
    monkeypatch.setattr(random, "philox", lambda *_: np.array([[3, 1, 3, 1], [2, 1, 3, 0]], np.uint32))
    assert random.permutation(0, 0, 7).tolist() == [1, 3, 5, 4, 0, 2, 6]


def test_permutations_differ_between_epochs_and_seeds():
    orders = {tuple(random.permutation(seed, epoch, 50)) for seed in (0, 1, 2**32, 2**63) for epoch in range(5)}
    assert len(orders) == 20


@given(SEEDS, WORDS, WORDS, st.integers(0, 9))
def test_uniform_is_two_words_to_a_number(seed, stream, substream, n):
    words = np.ravel([scalar_philox(seed, stream, substream, i) for i in range((n + 1) // 2)]).tolist()
    expected = [((words[2 * i] >> 5) * 2**26 + (words[2 * i + 1] >> 6)) / 2**53 for i in range(n)]
    assert random.uniform(seed, stream, substream, n).tolist() == expected


def test_uniform_moments():
    u = random.uniform(1, 2, 3, 1_000_000)
    assert 0.0 <= u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1.0
    for power in range(1, 5):  # the standard error of the mean of u^p is below 3e-4
        assert abs(np.mean(u**power) - 1 / (power + 1)) < 1.5e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5e-3


def test_normal_moments():
    z = random.normal(1, 2, 3, 1_000_000)
    for power, (moment, tolerance) in enumerate([(0, 5e-3), (1, 7e-3), (0, 2e-2), (3, 5e-2)], 1):
        assert abs(np.mean(z**power) - moment) < tolerance
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 5e-3


# --- a number for each element of a matrix ----------------------------------------------------------------------------


def scalar_hash(key0, key1, number):
    """The definition, on Python's integers."""
    low = 0xFFFFFFFF
    x = (key0 + number * 0x9E3779B9) & low
    x = ((x ^ x >> 16) * 0x7FEB352D + key1) & low
    x = ((x ^ x >> 15) * 0x846CA68B) & low
    return x ^ x >> 16


@given(SEEDS, WORDS, WORDS, SEEDS, WORDS, st.integers(1, 140))
def test_elements_are_their_definition(seed, stream, substream, index, first, columns):
    got = random.elements(seed, stream, substream, index, range(first, first + 2), columns)
    assert (got.dtype, got.shape) == (np.uint16, (2, columns))
    k = scalar_philox(seed, stream, substream, index)
    for r, row in enumerate(got.tolist()):
        number = (first + r) % 2**32
        key = scalar_hash(*k[:2], number), scalar_hash(*k[2:], number)
        hashes = [scalar_hash(*key, c // 64 * 32 + c % 32) for c in range(columns)]
        assert row == [hash_ >> 16 if c % 64 >= 32 else hash_ & 0xFFFF for c, hash_ in enumerate(hashes)]


def test_elements_do_not_depend_on_where_their_rows_begin():
    whole = random.elements(1, 4, 0, 2, range(3000), 70)
    np.testing.assert_array_equal(whole[1234:1300], random.elements(1, 4, 0, 2, range(1234, 1300), 70))
    np.testing.assert_array_equal(whole[:, :33], random.elements(1, 4, 0, 2, range(3000), 33))
    assert random.elements(1, 4, 0, 2, range(0), 5).shape == (0, 5)


def test_elements_are_the_same_everywhere():
    """Computed once: what a saved training goes on with."""
    assert random.elements(7, random.DROPOUT, 1, 12_345, range(98, 100), 3).tolist() == [
        [18733, 36281, 37694],
        [30093, 53592, 171],
    ]


#: Numbers of 200 steps, 64 rows and 100 columns: no figure below may be more than 4.5 standard errors away from what it
#: is for independent numbers, of which one in 150,000 is.
STEPS, ROWS, COLUMNS, ERRORS = 200, 64, 100, 4.5


@pytest.fixture(scope="module")
def some_elements():
    return np.stack([random.elements(3, random.DROPOUT, 1, step, range(ROWS), COLUMNS) for step in range(STEPS)])


def test_elements_are_uniform(some_elements):
    counts = np.bincount(some_elements.ravel(), minlength=2**16)
    expected = some_elements.size / 2**16
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - (2**16 - 1)) < ERRORS * np.sqrt(2 * (2**16 - 1))


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_elements_are_independent_of_their_neighbours(some_elements, rate):
    """In all directions, as what is dropped and what is not."""
    rate = round(rate * 2**16) / 2**16
    kept = (some_elements >= rate * 2**16) - (1 - rate)
    variance = rate * (1 - rate)
    assert abs(kept.mean()) < ERRORS * np.sqrt(variance / kept.size)
    for step, row, column in itertools.product((0, 1, 2), (0, 1, 2, 32), (0, 1, 2, 31, 32, 33, 64)):
        if step or row or column:
            here, there = kept[step:, row:, column:], kept[: STEPS - step, : ROWS - row, : COLUMNS - column]
            assert abs((here * there).mean()) < ERRORS * variance / np.sqrt(here.size), (step, row, column)
    triples = kept[:, :, 2:] * kept[:, :, 1:-1] * kept[:, :, :-2]
    assert abs(triples.mean()) < ERRORS * np.sqrt(variance**3 / triples.size)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["steps", "rows", "columns"])
def test_sums_of_elements_spread_as_independent_ones_do(some_elements, axis):
    kept = (some_elements >= 2**15) - 0.5
    n, sums = kept.shape[axis], kept.sum(axis)
    spread = 2 * (n / 4) ** 2 - n / 8  # the variance of the square of a sum of n times plus or minus 1/2
    assert abs((sums**2).mean() - n / 4) < ERRORS * np.sqrt(spread / sums.size)


@pytest.mark.parametrize("part", ["seed", "layer", "step", "high word of the step"])
def test_elements_of_keys_that_are_near_each_other_are_independent(part):
    keys = {
        "seed": [(seed, 4, 1, 0) for seed in range(STEPS)],
        "layer": [(3, 4, layer, 0) for layer in range(STEPS)],
        "step": [(3, 4, 1, 2**20 + step) for step in range(STEPS)],
        "high word of the step": [(3, 4, 1, step << 32) for step in range(STEPS)],
    }
    kept = np.stack([random.elements(*key, range(ROWS), COLUMNS) for key in keys[part]]) / 2**16 - 0.5
    for lag in (1, 2, 3):
        products = kept[lag:] * kept[:-lag]
        assert abs(products.mean()) < ERRORS / 12 / np.sqrt(products.size)


# --- quantiles -------------------------------------------------------------------------------------------------------


def quantile_points():
    end = 2**53
    ends = [0, 1, 2, 10, 1000, 2**20, 2**40]
    joints = [int(p * end) + i for p in (0.075, np.exp(-25.0), 0.5, 0.925) for i in (-1, 0, 1)]
    dense = np.linspace(0, end - 1, 301).astype(np.uint64).tolist()
    return np.array(ends + [end - 1 - k for k in ends] + joints + dense, np.uint64)


def test_normal_quantiles_against_mpmath():
    mpmath = pytest.importorskip("mpmath")
    k = quantile_points()
    got = random.quantile53(k)
    with mpmath.workdps(50):
        for each, value in zip(k.tolist(), got.tolist(), strict=True):
            p = mpmath.mpf(2 * each + 1) / 2**54
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)
            assert abs(value - exact) <= 1e-15 * abs(exact), each


def test_normal_quantiles_are_odd_and_rise():
    k = quantile_points()
    np.testing.assert_array_equal(random.quantile53(k), -random.quantile53(np.uint64(2**53 - 1) - k))
    assert (np.diff(random.quantile53(np.unique(k))) > 0).all()
    assert np.isfinite(random.quantile53(np.array([0, 2**53 - 1], np.uint64))).all()


def test_normal_bits_are_the_same_everywhere():
    """Computed once; any platform that rounds + - * / sqrt correctly gives these."""
    assert [value.hex() for value in random.normal(0, random.INIT, 0, 4).tolist()] == [
        "0x1.1938471f5ae4fp+0",
        "0x1.4b52b0678cd31p+0",
        "0x1.380c9aa28863ap-1",
        "0x1.324758c264496p-1",
    ]


def test_log_against_mpmath():
    mpmath = pytest.importorskip("mpmath")
    x = np.concatenate([np.logspace(-300, 300, 200), np.linspace(0.5, 2.0, 201), [1 - 2**-53, 1 + 2**-52]])
    for each, value in zip(x.tolist(), random.log(x).tolist(), strict=True):
        exact = mpmath.log(mpmath.mpf(each))
        assert abs(value - exact) <= 1e-15 * abs(exact), each
