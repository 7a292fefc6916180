"""Candidates compared in bits per byte, and the choice among them."""

import math

import pytest

from kalam.evaluation.bits import text_size
from kalam.evaluation.candidates import CANDIDATE_COLUMNS, choose, compare
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_jsonl
from kalam.files.tables import read_tsv


def rows(
    nll: float | None,
    part: str = "news",
    documents: int = 8,
    size: int = 100,
    tokens: int = 30,
    failure: str | None = None,
) -> list:
    sizes = {"bytes": size, "characters": 40, "words": 7, "tokens": tokens}
    return [
        {"id": f"{part}{n}", "group": f"g{n}", "part": part, **sizes, "nll": nll, "failure": failure}
        for n in range(documents)
    ]


def candidate(nll: float | None, barred: str | None = None, **how) -> tuple:
    return rows(nll, **how), barred


LOSSY = candidate(None, failure="lossy tokenizer")
UNSCORED = "8 of 8 documents could not be scored (lossy tokenizer)"
BARRED = candidate(1.0, "cannot be exported: qwen9")


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
        "parts": ["news"],
        "choice": "lowest",
    }
    narrow = table[2]
    assert narrow["token_perplexity"] == pytest.approx(math.exp(70 / 60))
    assert (narrow["tokens_per_byte"], narrow["tokens"], narrow["bytes"], narrow["n"]) == (0.6, 480, 800, 8)
    assert narrow["low"] <= narrow["bits_per_byte"] + 1e-12
    assert narrow["high"] >= narrow["bits_per_byte"] - 1e-12


def test_a_candidate_that_loses_text_has_no_figure_and_one_that_is_barred_is_not_taken_however_cheap():
    table, best = compare({"lossy": LOSSY, "barred": BARRED, "fair": candidate(90.0)}, ["news"], 8, "lowest")
    lossy, barred, _ = table
    assert (lossy["bits_per_byte"], lossy["token_perplexity"], lossy["low"]) == (math.inf, math.inf, None)
    assert (lossy["eligible"], lossy["failures"], lossy["reason"]) == (False, 8, UNSCORED)
    assert barred["bits_per_byte"] == pytest.approx(0.01 / math.log(2))
    assert (barred["eligible"], barred["failures"], barred["reason"]) == (False, 0, "cannot be exported: qwen9")
    assert best["model"] == "fair"


def test_no_name_of_a_candidate_is_another_s():
    table, best = compare(
        {"base": candidate(90.0), "floor": candidate(70.0), "adapted": candidate(80.0)}, ["news"], 8, "lowest"
    )
    assert [row["model"] for row in table] == ["base", "floor", "adapted"]
    assert all(row["eligible"] for row in table)
    assert best["model"] == "floor"
    assert compare({"base": candidate(90.0), "floor": candidate(70.0)}, ["news"], 8, "base")[1]["model"] == "base"


def test_above_the_threshold_is_shown_and_not_eligible():
    table, best = compare({"poor": candidate(300.0), "good": candidate(90.0)}, ["news"], 2, "lowest")
    assert table[0]["bits_per_byte"] == pytest.approx(3 / math.log(2))
    assert not table[0]["eligible"]
    assert table[0]["reason"] == "4.3281 bits per byte, above max_bits_per_byte 2"
    assert best["model"] == "good"


def test_a_document_not_scored_makes_a_candidate_ineligible_however_cheap_the_rest():
    cheap = candidate(1.0)
    cheap[0][3] |= {"nll": None, "failure": "unknown token"}
    table, best = compare({"cheap": cheap, "whole": candidate(90.0)}, ["news"], 8, "lowest")
    assert table[0]["bits_per_byte"] == math.inf
    assert table[0]["reason"] == "1 of 8 documents could not be scored (unknown token)"
    assert best["model"] == "whole"


def test_a_tie_goes_to_the_first_one_given():
    pair = {"zeta": candidate(50.0), "alpha": candidate(50.0)}
    assert compare(pair, ["news"], 8, "lowest")[1]["model"] == "zeta"
    assert compare(dict(reversed(pair.items())), ["news"], 8, "lowest")[1]["model"] == "alpha"


def test_a_named_choice_is_taken_where_eligible():
    pair = {"good": candidate(50.0), "liked": candidate(60.0), "lossy": LOSSY, "barred": BARRED}
    assert compare(pair, ["news"], 8, "liked")[1]["model"] == "liked"
    with pytest.raises(InputError, match=r"candidates\.choice: lossy is not eligible: 8 of 8 documents could not be"):
        compare(pair, ["news"], 8, "lossy")
    with pytest.raises(InputError, match=r"candidates\.choice: barred is not eligible: cannot be exported: qwen9"):
        compare(pair, ["news"], 8, "barred")
    with pytest.raises(InputError, match=r"candidates\.choice: best, allowed are lowest, good, liked, lossy, barred"):
        compare(pair, ["news"], 8, "best")


def test_none_eligible_says_why_for_each():
    with pytest.raises(InputError) as refusal:
        compare({"lossy": LOSSY, "barred": BARRED, "poor": candidate(300.0)}, ["news"], 2, "lowest")
    assert str(refusal.value) == (
        f"candidates: none is eligible: lossy: {UNSCORED}; barred: cannot be exported: qwen9; "
        "poor: 4.3281 bits per byte, above max_bits_per_byte 2"
    )


def test_only_the_parts_asked_for_count():
    both = rows(90.0) + rows(20.0, "verse"), None
    assert compare({"m": both}, ["verse"], 8, "lowest")[1]["bits_per_byte"] == pytest.approx(0.2 / math.log(2))
    table, best = compare({"m": both, "n": both}, ["news", "verse"], 8, "lowest")
    assert (best["model"], best["bits_per_byte"]) == ("m", pytest.approx(0.55 / math.log(2)))
    # What was taken together is shown one by one as well.
    assert [(row["model"], row["part"], row["n"], row["groups"]) for row in table] == [
        (model, part, n, 8) for model in "mn" for part, n in (("news", 8), ("verse", 8), ("news+verse", 16))
    ]
    costs = [row["bits_per_byte"] * math.log(2) for row in table[:3]]
    assert costs == pytest.approx([0.9, 0.2, 0.55])


def test_candidates_on_different_texts_are_refused():
    with pytest.raises(InputError, match="scores do not compare"):
        compare({"a": candidate(50.0), "b": candidate(50.0, documents=7)}, ["news"], 8, "lowest")
    with pytest.raises(InputError, match="bytes in one"):
        compare({"a": candidate(50.0), "b": candidate(50.0, size=99)}, ["news"], 8, "lowest")


TEXTS = ["বৃষ্টি পড়ে টাপুর টুপুর, নদে এল বান।", "র\u200d্যাব-এর গাড়ি ক্ষেতের ধারে।", "மழை பெய்கிறது; க்ஷேமம்."]


@pytest.fixture
def scored(tmp_path):
    """Score rows and meta.json of candidates, as files by name."""

    def write(**costs: float) -> tuple[dict, dict]:
        scores, metas = {}, {}
        for name, cost in costs.items():
            metas[name] = tmp_path / name / "meta.json"
            scores[name] = tmp_path / name / "scores" / "corpus.validation.jsonl"
            some = [text_size(text) | {"nll": cost * len(text), "tokens": len(text)} for text in TEXTS]
            common = {"part": "news", "failure": None}
            write_jsonl(
                scores[name], [{"id": f"d{n}", "group": f"g{n % 2}", **common, **row} for n, row in enumerate(some)]
            )
        return scores, metas

    return write


def chosen(scored: tuple[dict, dict], tmp_path, exportable=None, choice="lowest") -> tuple[list[dict], dict]:
    table, best = tmp_path / "candidates.tsv", tmp_path / "best.json"
    choose(*scored, ["news"], 8, choice, exportable, 200, 3, table, best)
    return read_tsv(table), read_json(best)


def test_the_choice_is_made_from_files_and_written(scored, tmp_path):
    table, best = chosen(scored(floor=1.5, base=1.2, tiny=1.9), tmp_path)
    assert list(table[0]) == CANDIDATE_COLUMNS
    size, length = sum(len(text.encode()) for text in TEXTS), sum(map(len, TEXTS))
    bits = {name: cost * length / math.log(2) / size for name, cost in (("floor", 1.5), ("base", 1.2), ("tiny", 1.9))}
    assert {row["model"]: float(row["bits_per_byte"]) for row in table} == pytest.approx(bits, rel=1e-5)
    assert [row["model"] for row in table] == ["floor", "base", "tiny"]
    assert {(row["eligible"], row["reason"], row["n"], row["groups"], row["bytes"]) for row in table} == {
        ("True", "", "3", "2", str(size))
    }
    assert all(float(row["low"]) <= float(row["bits_per_byte"]) <= float(row["high"]) for row in table)
    assert best == {
        "model": "base",
        "bits_per_byte": pytest.approx(bits["base"]),
        "split": "validation",
        "parts": ["news"],
        "choice": "lowest",
    }


def test_a_candidate_that_cannot_be_exported_is_not_chosen_where_the_best_one_is_to_be(scored, tmp_path):
    asked = []

    def exportable(folder) -> str | None:
        asked.append(folder)
        return "no GGUF has XGLM" if folder.name == "base" else None

    candidates = scored(floor=1.5, base=1.2)
    table, best = chosen(candidates, tmp_path, exportable)
    assert asked == [tmp_path / "floor", tmp_path / "base"]
    assert [(row["eligible"], row["reason"]) for row in table] == [
        ("True", ""),
        ("False", "cannot be exported: no GGUF has XGLM"),
    ]
    assert best["model"] == "floor"
    with pytest.raises(InputError, match="base is not eligible: cannot be exported: no GGUF has XGLM"):
        chosen(candidates, tmp_path, exportable, choice="base")
    assert read_json(tmp_path / "best.json") == best  # a refusal writes nothing
    assert chosen(candidates, tmp_path, choice="base")[1]["model"] == "base"
