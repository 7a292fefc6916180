"""Windows that differ from epoch to epoch, of the same text."""

from types import SimpleNamespace

import numpy as np
import pytest

from kalam.tasks.causal import Task
from kalam.text.tokens import IGNORED, encode_documents
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.varied import VariedWindows

SEED = 7


def draw(windows, epoch: int, index: int) -> tuple[int, int, int]:
    return SEED, 0, epoch * len(windows) + index


@pytest.fixture(scope="module")
def long_stream(tokenizer, texts):
    return TokenStream.of(encode_documents(tokenizer, texts * 4))


@pytest.fixture(scope="module")
def windows(long_stream):
    return PackedWindows(long_stream, 32, lookahead=1)


def test_the_first_epoch_s_windows_are_the_plain_ones(windows):
    varied = VariedWindows(windows, 1000)
    assert len(varied) == len(windows) and varied.targets == windows.targets
    for index in range(len(windows) - 1):  # the last one goes on with the first token
        found, plain = varied.drawn(index, draw(windows, 0, index)), windows[index]
        assert all(np.array_equal(found[key], plain[key]) for key in ("input_ids", "labels", "position_ids"))
        assert varied.labels(index, draw(windows, 0, index)) == windows.labels(index)


def test_another_epoch_begins_elsewhere_and_reads_every_token(windows, long_stream):
    varied = VariedWindows(windows, 1000)
    first = [varied.drawn(i, draw(windows, 1, i))["input_ids"] for i in range(len(windows))]
    assert not np.array_equal(first[0], windows[0]["input_ids"])
    read = np.concatenate(first)[: len(long_stream.tokens)]
    places = [n for n in range(len(read)) if np.array_equal(np.roll(long_stream.tokens, -n), read)]
    assert 0 < places[0] < windows.context
    again = [varied.drawn(i, draw(windows, 2, i))["input_ids"] for i in range(len(windows))]
    assert not np.array_equal(np.concatenate(first), np.concatenate(again))


def test_a_label_is_the_next_token_of_its_own_document(windows):
    varied = VariedWindows(windows, 1000)
    for index in range(len(windows)):
        window = varied.drawn(index, draw(windows, 3, index))
        ids, labels, document = (window[key] for key in ("input_ids", "labels", "document"))
        inner = labels[:-1] != IGNORED
        assert np.array_equal(labels[:-1][inner], ids[1:][inner])
        assert np.array_equal(inner, document[:-1] == document[1:])
        assert varied.labels(index, draw(windows, 3, index)) == (labels != IGNORED).sum()


def test_a_stream_of_one_document_does_not_go_on_from_its_end_to_its_beginning():
    windows = PackedWindows(TokenStream.of([list(range(10, 30))]), 8, lookahead=1)
    varied = VariedWindows(windows, 1000)
    for epoch in range(1, 4):
        for index in range(len(windows)):
            window = varied.drawn(index, draw(windows, epoch, index))
            for token, label in zip(window["input_ids"], window["labels"], strict=True):
                assert label in (IGNORED, token + 1)


def test_dropout_falls_to_none_and_fills_the_window(tokenizer, windows):
    task = Task(tokenizer, bpe_dropout=0.5)
    total = 40 * len(windows)
    varied = task.varied(windows, total)
    plain = VariedWindows(windows, total)

    def length(epoch):
        """How much of the plain window's text is in it."""
        window = varied.drawn(2, draw(windows, epoch, 2))
        assert (window["document"] >= 0).all()
        return len(tokenizer.decode(window["input_ids"]))

    early, late = length(0), length(39)
    assert early < late
    last = draw(windows, 39, 2)
    assert late <= len(tokenizer.decode(plain.drawn(2, last)["input_ids"]))
    assert varied.labels(2, last) == (varied.drawn(2, last)["labels"] != IGNORED).sum()
    beyond = draw(windows, 40, 2)
    assert np.array_equal(varied.drawn(2, beyond)["input_ids"], plain.drawn(2, beyond)["input_ids"])


def test_a_draw_is_the_same_in_another_process(tokenizer, windows):
    found = [Task(tokenizer, bpe_dropout=0.3).varied(windows, 500).drawn(1, (SEED, 0, 9)) for _ in range(2)]
    assert all(np.array_equal(found[0][key], found[1][key]) for key in found[0])


def test_plain_windows_stay_as_they_are_where_nothing_is_said(windows):
    assert Task(SimpleNamespace(pad_token_id=0)).varied(windows, 10) is windows
