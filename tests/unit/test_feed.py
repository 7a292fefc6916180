"""How examples come to the loop: cut by tokens, shared by processes, made ahead."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from own_examples import Given

from kalam.text.tokens import IGNORED
from kalam.training.feed import Feed, cut

ONE = SimpleNamespace(index=0, count=1)


def shares(costs, tokens, processes):
    """The parts of each process, of all examples."""
    indices, draws = range(len(costs)), [(place,) for place in range(len(costs))]
    return [cut(indices, draws, costs, tokens, SimpleNamespace(index=i, count=processes)) for i in range(processes)]


@given(
    costs=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    tokens=st.integers(1, 100),
    processes=st.integers(1, 4),
)
def test_every_example_is_in_one_micro_batch_of_one_process(costs, tokens, processes):
    found = shares(costs, tokens, processes)
    real = [
        i for parts in found for part in parts for i, idle in zip(part.examples, part.idle, strict=True) if not idle
    ]
    assert Counter(real) == Counter(range(len(costs)))
    assert len({tuple(len(part.examples) for part in parts) for parts in found}) == 1
    for part in (part for parts in found for part in parts):
        padded = len(part.examples) * max(costs[i] for i in part.examples)
        assert padded <= tokens or len(part.examples) == 1
        assert [draw for (draw,) in part.draws] == list(part.examples)


def test_equal_costs_keep_their_order():
    (parts,) = shares([8] * 5, 16, 1)
    assert [part.examples for part in parts] == [(0, 1), (2, 3), (4,)]
    first, second = shares([8] * 5, 16, 2)
    assert [part.examples for part in first] == [(0, 2), (4,)]
    assert [(part.examples, part.idle) for part in second] == [((1, 3), (False, False)), ((4,), (True,))]


def test_like_lengths_go_together():
    (parts,) = shares([3, 50, 4, 49, 5], 100, 1)
    assert [part.examples for part in parts] == [(1, 3), (4, 2, 0)]


class Counting:
    """A task that makes one array of a batch, and notes which batches it made."""

    def __init__(self):
        self.made = []

    def collate(self, examples, draws):
        if any(draw == (13,) for draw in draws):
            raise ValueError("unlucky")
        self.made.append(draws)
        return {"labels": torch.from_numpy(np.stack([example["labels"] for example in examples]))}

    def labels(self, examples, index, draw):
        return examples.labels(index)


@pytest.fixture
def feed():
    made = [{"input_ids": np.zeros(4, dtype=int), "labels": np.array([n, n, n, IGNORED])} for n in range(20)]
    return Feed(Counting(), Given(made), ONE)


def test_the_next_one_is_made_while_the_present_one_is_used(feed):
    parts = feed.parts(range(6), [(n,) for n in range(6)], 8)
    batches = feed.batches(parts, after=None)
    assert next(batches)["labels"][:, 0].tolist() == [0, 1]
    feed._ahead[1].result()
    assert feed.task.made == [((0,), (1,)), ((2,), (3,))]
    assert [batch["labels"][:, 0].tolist() for batch in batches] == [[2, 3], [4, 5]]
    assert len(feed.task.made) == 3


def test_what_was_made_ahead_is_taken_by_the_next_step_and_by_no_other(feed):
    first, then = feed.parts([0], [(0,)], 8), feed.parts([1], [(1,)], 8)
    other = feed.parts([2], [(2,)], 8)
    list(feed.batches(first, after=then[0]))
    assert next(feed.batches(then))["labels"][0, 0] == 1
    assert feed.task.made == [((0,),), ((1,),)]
    list(feed.batches(first, after=then[0]))
    assert next(feed.batches(other))["labels"][0, 0] == 2


def test_what_fails_ahead_fails_where_it_is_wanted(feed):
    bad = feed.parts([13], [(13,)], 8)
    list(feed.batches(feed.parts([0], [(0,)], 8), after=bad[0]))
    list(feed.batches(feed.parts([1], [(1,)], 8)))
    with pytest.raises(ValueError, match="unlucky"):
        next(feed.batches(bad))


def test_who_stands_in_has_no_label():
    made = [{"input_ids": np.zeros(2, dtype=int), "labels": np.array([n, n])} for n in range(3)]
    second = Feed(Counting(), Given(made), SimpleNamespace(index=1, count=2))
    parts = second.parts(range(3), [(n,) for n in range(3)], 4)
    assert [batch["labels"].tolist() for batch in second.batches(parts)] == [[[1, 1], [IGNORED, IGNORED]]]
    assert second.labels(range(3), [(n,) for n in range(3)]) == 6
