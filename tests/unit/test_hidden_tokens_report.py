"""The report of a masked run: its rows, its text to the letter, and the sentence in each case."""

import pytest

from kalam.evaluation.bits import MASKED_MEASURES, estimates, of_parts, paired_difference
from kalam.evaluation.hidden_tokens_report import evaluate, render
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.evaluation.run_files import System
from kalam.files.errors import InputError

ABOUT = {"project": "tamil", "run": "mlm", "language": "ta", "share": 0.15, "draws": 2}
BASE = {"model": "small", "run": None}
DIGESTS = {"validation": {"modern": "ab" * 32}, "test": {"modern": "cd" * 32, "old": "ef" * 32}}


def scores(nll: float, correct: int, split: str, unknown: int = 0, draws: int = 0) -> list[dict]:
    """Hidden tokens of twenty documents of each part, all at nearly the same cost, the second draw at a higher one."""
    sizes = {"bytes": 60, "characters": 20, "words": 4, "tokens": 10, "unknown": unknown, "correct": correct}
    return [
        {"id": f"{part}{n}", "group": f"{part}{n // 4:02}", "part": part, **number, **sizes, "nll": cost + 0.01 * n}
        for part in DIGESTS[split]
        for n in range(20)
        for number, cost in ([({"draw": d + 1}, 10 * nll + 0.4 * d) for d in range(draws)] or [({}, 10 * nll)])
    ]


def systems(adapted: float = 2.0, unknown: int = 0) -> list[System]:
    costs = {"floor": ("floor", 5.0, 1), "adapted": ("mlm", adapted, 6), "base": ("base", 6.0, 0)}
    return [
        System(role, name, split, scores(nll, correct, split, unknown, 0 if role == "floor" else 2))
        for split in DIGESTS
        for role, (name, nll, correct) in costs.items()
    ]


GOLDEN = """\
Hidden tokens: project tamil, run mlm of small
language ta

Every token of a document is hidden once in each of 2 draws, 14% of a window's tokens at a time; the
draws are the same for every line, and a figure is their mean. The loss is in nats per hidden token,
the accuracy the share that was the best guess. These figures depend on the tokenizer: they compare
the lines of a table and nothing else. The floor knows how often each token stands in the training
text. Intervals are 95%, over groups and draws.

Register modern, split validation: 20 documents in 5 groups, 200 hidden tokens
                  nats/token  95% interval      accuracy
floor, counted        5.0095  [5.0047, 5.0143]     0.100
base                  6.0295  [6.0063, 6.0523]     0.000
trained               2.0295  [2.0063, 2.0523]     0.600

Register modern, split test: 20 documents in 5 groups, 200 hidden tokens
                  nats/token  95% interval      accuracy
floor, counted        5.0095  [5.0047, 5.0143]     0.100
base                  6.0295  [6.0063, 6.0523]     0.000
trained               2.0295  [2.0063, 2.0523]     0.600

Register old, split test: 20 documents in 5 groups, 200 hidden tokens
                  nats/token  95% interval      accuracy
floor, counted        5.0095  [5.0047, 5.0143]     0.100
base                  6.0295  [6.0063, 6.0523]     0.000
trained               2.0295  [2.0063, 2.0523]     0.600

On modern the trained model is 2.9800 nats a token [-3.0000, -2.9600] below the floor: it has learnt
more than frequencies. On old the trained model is 2.9800 nats a token [-3.0000, -2.9600] below the
floor: it has learnt more than frequencies.

Warning: modern, split validation, has 20 documents in 5 groups; with fewer than 30 an interval is
too narrow.

Warning: modern, split test, has 20 documents in 5 groups; with fewer than 30 an interval is too
narrow.

Warning: old, split test, has 20 documents in 5 groups; with fewer than 30 an interval is too
narrow.
"""


def test_a_masked_run_is_evaluated_on_each_part_of_each_split():
    given = systems()
    found = evaluate(ABOUT, BASE, given, DIGESTS, 300, 4)
    assert found.systems == given
    assert all(list(row) == METRIC_COLUMNS for row in found.metrics)
    figures = {(row["split"], row["part"], row["role"], row["metric"]): row for row in found.metrics}
    assert len(figures) == len(found.metrics) == 3 * (3 * 4 + 2)
    for system in given:
        for part in DIGESTS[system.split]:
            rows, place = of_parts(system.rows, [part]), (system.split, part, system.role)
            for metric, expected in estimates(rows, 300, 4, MASKED_MEASURES).items():
                row = figures[*place, metric]
                assert (row["value"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
                assert (row["system"], row["text_sha256"]) == (system.name, DIGESTS[system.split][part])
                assert (row["run"], row["n"], row["groups"], row["failures"], row["context"]) == ("mlm", 20, 5, 0, None)
            assert figures[*place, "hidden_tokens"]["value"] == 200
    for other, gap in (("floor", -2.98), ("base", -4.0)):
        rows, baseline = (of_parts(given[n].rows, ["modern"]) for n in (1, 0 if other == "floor" else 2))
        expected = paired_difference(rows, baseline, 300, 4, "masked_nll")
        row = figures["validation", "modern", "adapted", f"masked_nll_minus_{other}"]
        assert (row["value"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
        assert (row["value"], row["system"]) == (pytest.approx(gap), "mlm")
    assert found.text == GOLDEN
    # Nothing but the rows is read: what they say is what the text says.
    figures["test", "old", "adapted", "masked_nll"]["value"] = 7.1234
    assert "trained               7.1234" in render(ABOUT, "small", found.metrics)


@pytest.mark.parametrize(
    ("adapted", "said"),
    [
        (2.0, "On old the trained model is 2.9800 nats a token [-3.0000, -2.9600] below the floor: it has learnt more"),
        (
            6.0,
            "On old the trained model is 1.0200 nats a token [+1.0000, +1.0400] above the floor: counting tokens pre",
        ),
        (4.98, "On old the trained model cannot be told from the floor."),
    ],
)
def test_the_sentences_on_hidden_tokens_are_about_the_test_split(adapted, said):
    text = " ".join(evaluate(ABOUT, BASE, systems(adapted), DIGESTS, 300, 4).text.split())
    assert said in text
    assert text.count("On modern the trained model") == 1
    assert "unknown to the tokenizer" not in text


def test_unknown_tokens_are_told_of():
    text = " ".join(evaluate(ABOUT, BASE, systems(unknown=2), DIGESTS, 300, 4).text.split())
    assert text.count("Of its tokens 40 are unknown to the tokenizer.") == 2  # of each part of the test split


def test_one_document_has_a_figure_and_no_interval():
    given = [
        System(one.role, one.name, one.split, [r for r in one.rows if r["id"].endswith(("rn0", "ld0"))])
        for one in systems()
    ]
    text = evaluate(ABOUT, BASE, given, DIGESTS, 300, 4).text
    assert "trained               2.0200  -                    0.600" in text
    assert "nothing can be said, since there is no interval for 1 group(s)." in " ".join(text.split())


def test_hidden_tokens_of_different_texts_do_not_compare():
    given = systems()
    del given[2].rows[-2:]
    with pytest.raises(InputError, match="scores do not compare"):
        evaluate(ABOUT, BASE, given, DIGESTS, 300, 4)
