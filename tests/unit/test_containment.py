"""Candidates for texts inside others, against all pairs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.corpus import containment
from kalam.corpus.containment import PROBES, Probes, smallest

SHARE = 0.7


def sets(seed, sizes, universe=2**64 - 1):
    random = np.random.default_rng(seed)
    return [np.unique(random.integers(0, universe, size, dtype=np.uint64)) for size in sizes]


def batch(rows):
    return np.concatenate([np.zeros(0, np.uint64), *rows]), np.cumsum([0, *(len(row) for row in rows)])


def found(rows, size=3, share=SHARE):
    batches = [batch(rows[begin : begin + size]) for begin in range(0, len(rows), size)]
    samples = [sample for each in batches for sample in smallest(*each)]
    pairs = [
        pair for some in Probes(samples, share).pairs(batches) for pair in zip(*(a.tolist() for a in some), strict=True)
    ]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def true(rows, share=SHARE):
    """The pairs of a text and one of which so much lies in it, by comparing all."""
    return {
        (large, small)
        for large, big in enumerate(rows)
        for small, little in enumerate(rows)
        if large != small and len(little) and len(np.intersect1d(big, little)) >= share * len(little)
    }


def test_a_sample_has_the_smallest_hashes_each_once():
    for seed, sizes in enumerate([(5, 0, 31, 400), (1000, 100_000, 33)]):
        rows = sets(seed, sizes)
        repeated = [np.concatenate((row, row[::-1], row[:3])) for row in rows]
        for row, sample in zip(rows, smallest(*batch(repeated)), strict=True):
            assert np.array_equal(sample, row[:PROBES])
    many = np.tile(np.arange(40, dtype=np.uint64) << np.uint64(58), 500)  # more repetition than a limit foresees
    assert np.array_equal(smallest(*batch([many]))[0], np.arange(PROBES, dtype=np.uint64) << np.uint64(58))


@given(st.lists(st.lists(st.integers(0, 30), max_size=PROBES), max_size=12), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_of_small_texts_every_pair_is_found(values, size):
    rows = [np.unique(np.array(row, np.uint64) * np.uint64(0x9E3779B97F4A7C15)) for row in values]
    assert found(rows, size) >= true(rows)


def test_of_large_texts_every_pair_is_found_and_few_others():
    random = np.random.default_rng(3)
    rows = sets(4, [20_000] * 5)
    for share in np.repeat([0.1, 0.2, 0.7, 0.75, 0.9, 1.0], 20):
        inside = random.choice(rows[random.integers(5)], round(share * 600), replace=False)
        rows.append(np.unique(np.concatenate((inside, sets(random.integers(2**31), [600 - len(inside)])[0]))))
    pairs, expected = found(rows, 7), true(rows)
    assert len(expected) >= 80 and pairs >= expected
    assert len(pairs - expected) <= 2


def test_a_crowd_is_looked_up_for_its_first_only_and_moves_none_of_what_stood_before(monkeypatch):
    monkeypatch.setattr(containment, "CROWD", 4)
    common, book = sets(5, [40, 3000])
    rows = [np.unique(np.concatenate((common, row))) for row in sets(6, [200] * 30)]
    rows = [np.unique(np.concatenate((book, rows[0]))), *rows]
    alone = found(rows[:5])
    assert (0, 1) in alone
    assert {pair for pair in found(rows) if max(pair) < 5} == alone
    assert len(found(rows)) < 40


def test_nothing_at_all_has_no_pairs():
    assert found([]) == found([np.zeros(0, np.uint64)] * 3) == set()
