"""Candidates compared in bits per byte, and the choice among them."""

import math

import pytest

from kalam.evaluation.candidates import CANDIDATE_COLUMNS, compare
from kalam.files.errors import InputError


def rows(nll: float | None, register: str = "news", documents: int = 8, size: int = 100, tokens: int = 30) -> list:
    sizes = {"bytes": size, "characters": 40, "words": 7, "tokens": tokens}
    return [{"id": f"{register}{n}", "register": register, **sizes, "nll": nll} for n in range(documents)]


def candidate(nll: float | None, **how) -> dict:
    return {"rows": rows(nll, **how), "eligible": True, "reason": None}


LOSSY = {"rows": [], "eligible": False, "reason": "lossy tokenizer"}


def test_the_table_has_every_candidate_and_the_lowest_is_best():
    table, best = compare(
        {"wide": candidate(90.0), "lossy": LOSSY, "narrow": candidate(70.0, tokens=60)}, ["news"], 8, "lowest"
    )
    assert [row["model"] for row in table] == ["wide", "lossy", "narrow"]
    assert all(list(row) == CANDIDATE_COLUMNS for row in table)
    assert best == {
        "model": "narrow",
        "bits_per_byte": pytest.approx(0.7 / math.log(2)),
        "split": "validation",
        "registers": ["news"],
        "choice": "lowest",
    }
    narrow = table[2]
    assert narrow["token_perplexity"] == pytest.approx(math.exp(70 / 60))
    assert (narrow["tokens_per_byte"], narrow["tokens"], narrow["bytes"], narrow["n"]) == (0.6, 480, 800, 8)
    assert narrow["low"] <= narrow["bits_per_byte"] + 1e-12
    assert narrow["high"] >= narrow["bits_per_byte"] - 1e-12


def test_figures_that_do_not_compare_are_not_given():
    flattering = LOSSY | {"rows": rows(1.0)}
    table, best = compare({"lossy": flattering, "fair": candidate(90.0)}, ["news"], 8, "lowest")
    assert (table[0]["bits_per_byte"], table[0]["eligible"], table[0]["reason"]) == (None, False, "lossy tokenizer")
    assert best["model"] == "fair"


def test_above_the_threshold_is_shown_and_not_eligible():
    table, best = compare({"poor": candidate(300.0), "good": candidate(90.0)}, ["news"], 2, "lowest")
    assert table[0]["bits_per_byte"] == pytest.approx(3 / math.log(2))
    assert not table[0]["eligible"]
    assert table[0]["reason"] == "4.3281 bits per byte, above max_bits_per_byte 2"
    assert best["model"] == "good"


def test_a_document_not_scored_makes_a_candidate_ineligible_however_cheap_the_rest():
    cheap = candidate(1.0)
    cheap["rows"][3] |= {"nll": None, "failure": "unknown token"}
    table, best = compare({"cheap": cheap, "whole": candidate(90.0)}, ["news"], 8, "lowest")
    assert table[0]["bits_per_byte"] == math.inf
    assert table[0]["reason"] == "1 of 8 documents could not be scored (unknown token)"
    assert best["model"] == "whole"


def test_a_tie_goes_to_the_first_one_given():
    pair = {"zeta": candidate(50.0), "alpha": candidate(50.0)}
    assert compare(pair, ["news"], 8, "lowest")[1]["model"] == "zeta"
    assert compare(dict(reversed(pair.items())), ["news"], 8, "lowest")[1]["model"] == "alpha"


def test_a_named_choice_is_taken_where_eligible():
    pair = {"good": candidate(50.0), "liked": candidate(60.0), "lossy": LOSSY}
    assert compare(pair, ["news"], 8, "liked")[1]["model"] == "liked"
    with pytest.raises(InputError, match=r"candidates\.choice: lossy is not eligible: lossy tokenizer"):
        compare(pair, ["news"], 8, "lossy")
    with pytest.raises(InputError, match=r"candidates\.choice: best, allowed are lowest, good, liked, lossy"):
        compare(pair, ["news"], 8, "best")


def test_none_eligible_says_why_for_each():
    with pytest.raises(InputError) as refusal:
        compare({"lossy": LOSSY, "poor": candidate(300.0)}, ["news"], 2, "lowest")
    assert str(refusal.value) == (
        "candidates: none is eligible: lossy: lossy tokenizer; poor: 4.3281 bits per byte, above max_bits_per_byte 2"
    )


def test_only_the_registers_asked_for_count():
    both = {"rows": rows(90.0) + rows(20.0, "verse"), "eligible": True, "reason": None}
    assert compare({"m": both}, ["verse"], 8, "lowest")[1]["bits_per_byte"] == pytest.approx(0.2 / math.log(2))
    assert compare({"m": both}, ["news", "verse"], 8, "lowest")[1]["bits_per_byte"] == pytest.approx(0.55 / math.log(2))


def test_candidates_on_different_texts_are_refused():
    with pytest.raises(InputError, match="scores do not compare"):
        compare({"a": candidate(50.0), "b": candidate(50.0, documents=7)}, ["news"], 8, "lowest")
    with pytest.raises(InputError, match="bytes in one"):
        compare({"a": candidate(50.0), "b": candidate(50.0, size=99)}, ["news"], 8, "lowest")
