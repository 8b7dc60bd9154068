"""How rows are dealt out to the steps that several ranks make: each once, in proportion, in an order that is theirs."""

import itertools

import numpy as np
import pytest

from fastmlp import runtime
from fastmlp.data import Data
from fastmlp.data.table import Pieces
from fastmlp.train.deal import Deal, DealtRows
from fastmlp.train.source import shuffled

PERMUTATION = runtime.choose_backend("numpy").permutation
SIZES = [[7], [40, 23], [1, 1, 1, 50], [12, 0, 9], [5] * 12]


def deals(sizes, batch_size):
    return [Deal(sizes, range(share, share + 1), batch_size) for share in range(len(sizes))]


@pytest.mark.parametrize("batch_size", [1, 4, 10, 100])
@pytest.mark.parametrize("sizes", SIZES)
def test_batches_take_all_rows_once_and_of_each_share_in_proportion(sizes, batch_size):
    n, dealt = sum(sizes), deals(sizes, batch_size)
    for size, deal in zip(sizes, dealt, strict=True):
        ends = np.minimum(np.arange(deal.steps + 1) * batch_size, n)
        np.testing.assert_array_equal(deal.starts, size * ends // n)
        assert abs(deal.rows - np.diff(ends)).max() < len(sizes)
    places = np.stack([deal.places for deal in dealt])
    counts = np.stack([np.diff(deal.starts) for deal in dealt])
    np.testing.assert_array_equal(counts.sum(axis=0), dealt[0].rows)
    np.testing.assert_array_equal(places, np.cumsum(counts, axis=0) - counts)


@pytest.mark.parametrize("batch_size", [4, 10])
@pytest.mark.parametrize("shuffle", [PERMUTATION, None], ids=["shuffled", "in order"])
def test_shares_take_the_same_rows_whoever_has_them(shuffle, batch_size):
    sizes = [9, 8, 9, 8]
    first = np.cumsum([0, *sizes])
    taken = {}
    for cut in ([0, 4], [0, 1, 4], [0, 2, 3, 4]):
        batches = {}
        for begin, end in itertools.pairwise(cut):
            deal = Deal(sizes, range(begin, end), batch_size)
            order = deal.order(3, 5, shuffle, np.arange(first[begin], first[end]))
            for place, (start, stop) in enumerate(zip(deal.starts[:-1], deal.starts[1:], strict=True)):
                step, share = divmod(place, end - begin)
                batches[step, begin + share] = order[start:stop].tolist()
        taken[len(cut)] = batches
        assert sorted(row for rows in batches.values() for row in rows) == list(range(sum(sizes)))
        for (_, share), rows in batches.items():
            assert all(first[share] <= row < first[share + 1] for row in rows)
    assert taken[2] == taken[3] == taken[4]


def test_one_share_is_what_a_single_process_takes():
    deal = Deal([50], range(1), 8)
    order = deal.order(2, 7, PERMUTATION, np.arange(50))
    np.testing.assert_array_equal(order, shuffled(PERMUTATION, 7, 50).of_epoch(2))
    np.testing.assert_array_equal(deal.starts, [*range(0, 50, 8), 50])


def test_numbers_of_rows_do_not_overflow():
    deal = Deal([3 * 2**32, 2**32], range(1, 2), 2**30)
    np.testing.assert_array_equal(deal.starts, np.arange(17) * 2**28)


def test_a_table_is_read_some_steps_at_a_time():
    rows = np.arange(60.0).reshape(30, 2)
    y = np.arange(30)
    deal = Deal([30, 90], range(1), 16)

    class Small(Pieces):
        rows_at_once = 10

    source = DealtRows(Data(Small([rows[:11], rows[11:]]), y), deal, np.arange(30), 0, PERMUTATION)
    whole = DealtRows(Data(rows, y), deal, np.arange(30), 0, PERMUTATION)
    (every,) = whole.chunks(1, 16)
    parts = list(source.chunks(1, 16))
    assert len(parts) == 4
    assert sum(part.steps for part in parts) == every.steps == deal.steps
    np.testing.assert_array_equal(np.concatenate([part.data.X[part.order] for part in parts]), rows[every.order])
    np.testing.assert_array_equal(np.concatenate([part.data.y for part in parts]), y[every.order])
