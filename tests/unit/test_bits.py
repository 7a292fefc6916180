"""Bits per byte and its intervals."""

import hashlib
import math
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.configuration.tasks import tasks
from kalam.evaluation import bits
from kalam.evaluation.bits import (
    MASKED_MEASURES,
    MEASURES,
    estimates,
    family,
    groups,
    identity,
    measure,
    of_parts,
    paired_difference,
    require_same_text,
    text_digest,
    text_size,
)
from kalam.evaluation.metrics import METRIC_COLUMNS, estimate_of, metric_row, metric_rows
from kalam.files.errors import InputError


def row(name: str, nll: float | None, size: int = 100, tokens: int | None = 40, **more) -> dict:
    sizes = {"bytes": size, "characters": max(1, size // 3), "words": max(1, size // 20)}
    return {"id": name, "group": name, "part": "news", **sizes, "tokens": tokens, "nll": nll, **more}


@st.composite
def scorings(draw, least=2, most=12):
    """Rows of one model on some documents, of as many groups or fewer."""
    sizes = draw(st.lists(st.integers(1, 5000), min_size=least, max_size=most))
    return [
        row(
            f"d{n}",
            draw(st.floats(0.01, 20)) * size,
            size,
            draw(st.integers(1, size)),
            group=f"g{draw(st.integers(0, n))}",
        )
        for n, size in enumerate(sizes)
    ]


def test_sizes_are_of_the_text_itself():
    text = "র\u200d্যাব পড়ে।\nكِتَابٌ 𝔸"
    assert text_size(text) == {"bytes": len(text.encode()), "characters": len(text), "words": 4}


def test_a_row_keeps_of_its_document_which_it_is_its_group_and_its_register_as_part():
    document = {"id": "d", "group": "ঠাকুরমার ঝুলি", "register": "tales", "text": "বান এল।", "source": "wikisource"}
    assert identity(document) == {"id": "d", "group": "ঠাকুরমার ঝুলি", "part": "tales"}


@given(scorings(least=1), st.integers(2, 200_000))
def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary(rows, vocabulary):
    uniform = [r | {"nll": r["tokens"] * math.log(vocabulary)} for r in rows]
    tokens, size = sum(r["tokens"] for r in rows), sum(r["bytes"] for r in rows)
    assert measure(uniform, "bits_per_byte") == pytest.approx(math.log2(vocabulary) * tokens / size)
    assert measure(uniform, "token_perplexity") == pytest.approx(vocabulary)
    assert measure(uniform, "tokens_per_byte") == pytest.approx(tokens / size)


def test_every_measure_by_hand():
    rows = [
        {"id": "a", "group": "x", "part": "x", "bytes": 30, "characters": 10, "words": 2, "tokens": 5, "nll": 7.0},
        {"id": "b", "group": "x", "part": "x", "bytes": 50, "characters": 20, "words": 3, "tokens": 5, "nll": 13.0},
    ]
    assert measure(rows, "bits_per_byte") == pytest.approx(20 / math.log(2) / 80)
    assert measure(rows, "bits_per_character") == pytest.approx(20 / math.log(2) / 30)
    assert measure(rows, "word_perplexity") == pytest.approx(math.exp(4))
    assert measure(rows, "token_perplexity") == pytest.approx(math.exp(2))
    assert measure(rows, "tokens_per_byte") == 0.125


@settings(max_examples=50, deadline=None)
@given(scorings(), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_an_interval_is_the_same_for_any_order_of_rows_and_holds_its_figure(rows, seed, shuffler):
    shuffled = rows[:]
    shuffler.shuffle(shuffled)
    first, second = estimates(rows, 200, seed), estimates(shuffled, 200, seed)
    assert first == second
    assert set(first) == set(MEASURES)
    for name, figure in first.items():
        assert figure.value == measure(rows, name)
        if figure.groups > 1:
            assert figure.low <= figure.high
        assert (figure.low is None) == (figure.groups == 1)
        assert (figure.n, figure.failures, figure.groups) == (len(rows), 0, len({r["group"] for r in rows}))


def test_the_interval_is_that_of_the_resampled_ratio():
    generator = np.random.default_rng(5)
    rows = [row(f"{n:03}", float(generator.normal(80, 20)), int(generator.integers(60, 200))) for n in range(150)]
    estimate = estimates(rows, 4000, 1)["bits_per_byte"]
    nll, size = (np.array([r[key] for r in rows], dtype=float) for key in ("nll", "bytes"))
    # The linearised variance of a ratio of means (Cochran, Sampling Techniques, 1977).
    ratio = nll.sum() / size.sum()
    error = np.std(nll - ratio * size) / size.mean() / math.sqrt(150) / math.log(2)
    assert estimate.low == pytest.approx(estimate.value - 1.96 * error, abs=error / 5)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * error, abs=error / 5)


def test_what_is_drawn_by_group_stays_together():
    """A document cut into pieces of one group counts as the one document that it was."""
    generator = np.random.default_rng(7)
    whole = [row(f"{n:02}", float(generator.normal(80, 20)), 2 * int(generator.integers(30, 90))) for n in range(20)]
    half = {"bytes": 0.5, "characters": 0.5, "words": 0.5, "tokens": 0.5, "nll": 0.5}
    cut = [
        {**r, **{key: r[key] * share for key, share in half.items()}, "id": f"{r['id']}{n}"}
        for r in whole
        for n in range(2)
    ]
    others = [r | {"nll": r["nll"] * (1 + n % 3)} for n, r in enumerate(cut)]
    expected = estimates(whole, 300, 2)["bits_per_byte"]
    found = estimates(cut, 300, 2)["bits_per_byte"]
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert (found.n, found.groups) == (40, 20)
    apart = [r | {"group": r["id"]} for r in cut]
    by_group, again = (paired_difference(others, some, 300, 2) for some in (cut, apart))
    assert by_group == again, "the groups are those of the first"
    by_row = paired_difference([r | {"group": r["id"]} for r in others], cut, 300, 2)
    assert by_row.value == by_group.value and by_row.low != by_group.low
    one = [r | {"group": "one"} for r in cut]
    assert estimates(one, 300, 2)["bits_per_byte"].low is None
    assert paired_difference(one, one, 300, 2).low is None


def test_a_measure_that_is_none_is_refused():
    assert family("masked_nll") is MASKED_MEASURES and family("bits_per_byte") is MEASURES
    with pytest.raises(InputError, match="measure: found accuracy; allowed are bits_per_byte, "):
        family("accuracy")


@pytest.mark.parametrize("task", [row for row in tasks().values() if row.measure], ids=lambda row: row.name)
def test_the_measure_of_a_task_is_one_and_can_be_subtracted(task):
    _, _, finish = family(task.measure)[task.measure]
    assert finish(3.0) - finish(1.0) == pytest.approx(finish(2.0))


def test_equal_documents_have_an_interval_without_width():
    figure = estimates([row(f"d{n}", 50.0) for n in range(5)], 300, 0)["bits_per_byte"]
    assert figure.low == pytest.approx(figure.value) == figure.high


def test_the_size_of_a_chunk_changes_no_figure(monkeypatch):
    rows = [row(f"d{n}", 30.0 + n, 90 + n) for n in range(20)]
    whole = estimates(rows, 500, 3)
    monkeypatch.setattr(bits, "CELLS", 70)
    assert estimates(rows, 500, 3)["bits_per_byte"].low == pytest.approx(whole["bits_per_byte"].low, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(scorings(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_a_difference_the_other_way_round_has_the_other_sign(rows, seed, shuffler):
    others = [r | {"nll": r["nll"] * shuffler.uniform(0.5, 1.5)} for r in rows]
    shuffler.shuffle(others)
    forth, back = paired_difference(rows, others, 200, seed), paired_difference(others, rows, 200, seed)
    assert forth.value == pytest.approx(measure(rows, "bits_per_byte") - measure(others, "bits_per_byte"))
    assert back.value == pytest.approx(-forth.value, abs=1e-9)
    if forth.groups > 1:
        assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=1e-9)
    assert forth.groups == back.groups == len({r["group"] for r in rows})


def test_pairing_sees_what_single_intervals_do_not():
    shuffler = random.Random(4)
    base = [row(f"{n:03}", shuffler.uniform(20, 200)) for n in range(60)]
    better = [r | {"nll": r["nll"] - shuffler.uniform(1, 2)} for r in base]
    alone, other = (estimates(rows, 1000, 0)["bits_per_byte"] for rows in (base, better))
    assert alone.low < other.high
    assert paired_difference(better, base, 1000, 0).high < 0


def test_scores_of_other_texts_do_not_compare():
    rows = [row("a", 1.0), row("b", 2.0)]
    with pytest.raises(InputError, match=r"2 documents have only one of them, the first is b"):
        paired_difference(rows, [row("a", 1.0), row("c", 2.0)], 100, 0)
    with pytest.raises(InputError, match=r"b has 100 bytes in one, 99 in the other"):
        require_same_text(rows, [row("a", 1.0), row("b", 2.0, 99)])


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_a_document_not_scored_spoils_the_figure_and_is_counted(lost):
    rows = [row("a", 30.0), row("b", lost), row("c", 20.0)]
    figures = estimates(rows, 100, 0)
    for name in ("bits_per_byte", "bits_per_character", "word_perplexity", "token_perplexity"):
        assert figures[name] == bits.Estimate(math.inf, None, None, 3, 1, 3)
    assert figures["tokens_per_byte"].value == 0.4

    gap = paired_difference(rows, [row("a", None), row("b", 1.0), row("c", 1.0)], 100, 0)
    assert gap == bits.Estimate(None, None, None, 3, 2, 3)


def test_a_single_group_has_no_interval():
    figure = estimates([row("a", 30.0)], 100, 0)["bits_per_byte"]
    assert (figure.low, figure.high, figure.n, figure.groups) == (None, None, 1, 1)
    gap = paired_difference([row("a", 30.0)], [row("a", 20.0)], 100, 0)
    assert gap == bits.Estimate(pytest.approx(0.1 / math.log(2)), None, None, 1, 0, 1)


def test_groups_are_counted_apart_from_documents():
    rows = [row("a", 30.0, group="যোগাযোগ"), row("b", 20.0, group="যোগাযোগ"), row("c", 10.0, group="বলাকা")]
    assert groups(rows) == 2
    assert {(figure.n, figure.groups) for figure in estimates(rows, 100, 0).values()} == {(3, 2)}
    unscored = [r | {"nll": None} for r in rows]
    assert [paired_difference(rows, others, 100, 0).groups for others in (rows, unscored)] == [2, 2]
    assert paired_difference(rows[:1], rows[:1], 100, 0).groups == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no score rows"),
        ([row("a", 1.0), row("a", 1.0)], "document a is scored twice"),
        ([row("a", 0.0, 0)], "document a: bytes is 0"),
        ([row("a", 1.0), row("b", 1.0, tokens=None)], "document b: tokens is None"),
    ],
)
def test_rows_that_make_no_figure_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        estimates(rows, 100, 0)


def test_parts_are_taken_apart_and_a_missing_one_is_named():
    rows = [row("a", 1.0), row("b", 1.0, part="verse")]
    assert [r["id"] for r in of_parts(rows, ["verse"])] == ["b"]
    assert [r["id"] for r in of_parts(rows, ["verse", "news"])] == ["a", "b"]
    with pytest.raises(InputError, match="no scored document of part drama"):
        of_parts(rows, ["verse", "drama"])


def test_the_digest_is_of_the_texts_in_order_of_id():
    nukta = unicodedata.normalize("NFC", "পড়ে")
    documents = [{"id": "2", "text": nukta}, {"id": "1", "text": "র\u200d্যাব"}]
    expected = hashlib.sha256(f"র\u200d্যাব\0{nukta}\0".encode()).hexdigest()
    assert text_digest(documents) == text_digest(documents[::-1]) == expected
    assert text_digest([{"id": "1", "text": "ab"}]) != text_digest([{"id": "1", "text": "a"}, {"id": "2", "text": "b"}])


def test_a_text_that_is_not_nfc_is_refused():
    with pytest.raises(InputError, match="document d: its text is not NFC"):
        text_digest([{"id": "d", "text": "\u09dc"}])  # RRA has a composition exclusion: NFC takes it apart


PLACE = {
    "project": "bangla",
    "run": "adapt",
    "system": "tiny",
    "role": "base",
    "split": "test",
    "part": "news",
    "context": 2048,
    "text_sha256": "ff" * 32,
}


def test_metric_rows_have_the_columns_and_keep_failures_visible():
    rows = [row("a", 30.0, group="g"), row("b", None, group="g")]
    made = metric_rows(rows, 100, 0, **PLACE)
    assert all(list(one) == METRIC_COLUMNS for one in made)
    assert all(one | PLACE == one for one in made)
    by_metric = {one["metric"]: one for one in made}
    assert len(by_metric) == len(made)
    assert set(by_metric) == {*MEASURES, "bytes", "tokens"}
    spoilt = by_metric["bits_per_byte"]
    assert (spoilt["value"], spoilt["low"], spoilt["n"], spoilt["failures"]) == (math.inf, None, 2, 1)
    assert (by_metric["bytes"]["value"], by_metric["tokens"]["value"]) == (200, 80)
    assert {(one["n"], one["groups"], one["failures"], one["profile"]) for one in made} == {(2, 1, 1, None)}


def test_a_floor_has_no_metrics_of_tokens():
    made = metric_rows([row("a", 3.0, tokens=None)], 100, 0, **PLACE | {"system": "floor", "role": "floor"})
    assert {one["metric"] for one in made} == {"bits_per_byte", "bits_per_character", "word_perplexity", "bytes"}


@given(scorings())
def test_a_metric_row_says_all_of_its_estimate(rows):
    hidden = [r | {"correct": r["tokens"] // 2} for r in rows]
    for metric, figure in {**estimates(rows, 20, 0), **estimates(hidden, 20, 0, MASKED_MEASURES)}.items():
        assert estimate_of(metric_row(figure, metric, **PLACE)) == figure


def drawn(shifts: dict[int, float], documents: int = 40) -> list[dict]:
    """Hidden tokens of documents that differ, in draws that shift the loss of all of them."""
    generator = np.random.default_rng(8)
    own = [float(generator.normal(100, 5)) for _ in range(documents)]
    return [
        row(f"d{n:02}", cost + 40 * shift, correct=1, draw=number)
        for n, cost in enumerate(own)
        for number, shift in shifts.items()
    ]


def test_a_figure_of_several_draws_is_their_mean_over_documents_that_count_once():
    rows = drawn({1: 0.0, 2: 0.3})
    figure = estimates(rows, 400, 0, MASKED_MEASURES)["masked_nll"]
    apart = [measure([r for r in rows if r["draw"] == number], "masked_nll") for number in (1, 2)]
    assert figure.value == pytest.approx(sum(apart) / 2) == pytest.approx(apart[0] + 0.15)
    assert (figure.n, figure.groups, figure.failures) == (40, 40, 0)
    with pytest.raises(InputError, match="document d00 is scored twice"):
        estimates([*rows, rows[0]], 100, 0, MASKED_MEASURES)


def test_the_interval_has_the_variation_of_the_draws_in_it():
    same, apart = (drawn(shifts) for shifts in ({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}, {1: -0.1, 2: 0.1, 3: 0.1, 4: -0.1}))
    narrow, wide = (estimates(rows, 4000, 0, MASKED_MEASURES)["masked_nll"] for rows in (same, apart))
    alone = estimates(drawn({1: 0.0}), 4000, 0, MASKED_MEASURES)["masked_nll"]
    assert narrow.value == pytest.approx(wide.value) == pytest.approx(alone.value)
    spread = {name: (one.high - one.low) / 3.92 for name, one in (("n", narrow), ("w", wide), ("a", alone))}
    assert spread["n"] == pytest.approx(spread["a"], rel=0.05)
    # Of four draws that deviate by 0.1 the mean deviates by 0.05.
    assert spread["w"] == pytest.approx(math.hypot(spread["n"], 0.05), rel=0.05)


def test_draws_are_paired_by_their_numbers_and_what_is_drawn_once_stands_beside_each():
    rows, shifted = drawn({1: 0.0, 2: 0.5}), drawn({1: 0.25, 2: 0.75})
    gap = paired_difference(rows, shifted, 300, 0, "masked_nll")
    assert (gap.value, gap.low, gap.high, gap.n) == pytest.approx((-0.25, -0.25, -0.25, 40))
    floor = [{key: value for key, value in r.items() if key != "draw"} for r in drawn({1: 0.0})]
    gap = paired_difference(rows, floor, 300, 0, "masked_nll")
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.25, 0.0, 0.5))
    with pytest.raises(InputError, match="scores do not compare: 2 draws in one, 3 in the other"):
        paired_difference(rows, drawn({1: 0.0, 2: 0.0, 3: 0.0}), 300, 0, "masked_nll")


def test_hidden_tokens_are_measured_by_hand():
    rows = [row("a", 6.0, tokens=4, correct=1), row("b", 0.0, tokens=2, correct=2)]
    figures = estimates(rows, 200, 0, MASKED_MEASURES)
    assert set(figures) == {"masked_nll", "masked_accuracy"}
    assert (figures["masked_nll"].value, figures["masked_accuracy"].value) == (1.0, 0.5)
    better = paired_difference(rows, [row("a", 8.0, tokens=4), row("b", 1.0, tokens=2)], 200, 0, "masked_nll")
    assert (better.value, better.low, better.high) == pytest.approx((-0.5, -0.5, -0.5))  # half a nat less on each
