"""The perplexity report: its rows, its text to the letter, and the sentence in each case."""

import math

import pytest

from kalam.evaluation.bits import Estimate
from kalam.evaluation.comparison import ppl_rows
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.evaluation.ppl import render
from kalam.evaluation.verdict import verdict
from kalam.files.errors import InputError


def scores(bits: dict[str, float], tokens: int | None, documents: int = 30) -> list[dict]:
    """Documents of 100 bytes in each register, all at the same cost but the first, so intervals are narrow."""
    return [
        {
            "id": f"{register}{n:02}",
            "register": register,
            "bytes": 100,
            "characters": 40,
            "words": 6,
            "tokens": tokens,
            "nll": 100 * math.log(2) * (each + (0.1 if n == 0 else 0)),
            "failure": None,
        }
        for register, each in bits.items()
        for n in range(documents)
    ]


def system(label: str, role: str, poems: float, news: float, tokens: int | None = 25, documents: int = 30) -> dict:
    rows = scores({"poems": poems, "news": news}, tokens, documents)
    return {"label": label, "role": role, "model": label, "run": None, "rows": rows, "reason": None}


def report(documents: int = 30, **costs) -> dict:
    cost = {"base": (1.9, 1.2), "adapted": (1.5, 1.25), "floor": (1.4, 1.15), "floor_base": (2.0, 1.1)} | costs
    made = {
        "project": "bangla",
        "language": "bn",
        "run": "adapt",
        "split": "test",
        "context": 2048,
        "target": ["poems"],
        "general": ["news"],
        "text_sha256": {"poems": "3fa94c11" * 8, "news": "90ab12cd" * 8},
        "systems": [
            system("floor, base text", "floor_base", *cost["floor_base"], None, documents),
            system("floor, all text", "floor", *cost["floor"], None, documents),
            system("small", "candidate", 1.95, 1.3, 20, documents),
            system("tiny", "base", *cost["base"], 25, documents),
            system("tiny, adapted", "adapted", *cost["adapted"], 25, documents),
        ],
        "files": {"curves": "results/bangla/runs/adapt/curves.png"},
    }
    made["systems"].append(
        {"label": "odd", "role": "candidate", "model": "odd", "run": None, "rows": [], "reason": "lossy tokenizer"}
    )
    return made


def with_metrics(made: dict) -> dict:
    return made | {"metrics": ppl_rows(made, 200, 20)}


GOLDEN = """\
Perplexity: project bangla, run adapt
language bn, split test, context 2048 bytes of text

Fewer bits per byte are better. They compare between all lines of a table, which are about the same
text under the same context; token perplexities compare within one tokenizer only. Intervals are
95%, over documents.

Register poems (target): 30 documents, SHA-256 of the text 3fa94c113fa9...
                  bits/byte  95% interval      token perpl.      tokens        bytes
floor, base text     2.0033  [2.0000, 2.0133]             -           -        3,000
floor, all text      1.4033  [1.4000, 1.4133]             -           -        3,000
small                1.9533  [1.9500, 1.9633]        871.08         600        3,000
tiny                 1.9033  [1.9000, 1.9133]        195.81         750        3,000
tiny, adapted        1.5033  [1.5000, 1.5133]         64.59         750        3,000

Register news (general): 30 documents, SHA-256 of the text 90ab12cd90ab...
                  bits/byte  95% interval      token perpl.      tokens        bytes
floor, base text     1.1033  [1.1000, 1.1133]             -           -        3,000
floor, all text      1.1533  [1.1500, 1.1633]             -           -        3,000
small                1.3033  [1.3000, 1.3133]         91.56         600        3,000
tiny                 1.2033  [1.2000, 1.2133]         28.12         750        3,000
tiny, adapted        1.2533  [1.2500, 1.2633]         32.30         750        3,000

odd: not compared, lossy tokenizer

Differences in bits per byte, document by document (below zero: the first is better)
poems: adapted - base          -0.4000  [-0.4000, -0.4000]  30 documents
news: adapted - base           +0.0500  [+0.0500, +0.0500]  30 documents
poems: adapted - floor         +0.1000  [+0.1000, +0.1000]  30 documents
poems: base - floor of base    -0.1000  [-0.1000, -0.1000]  30 documents

On poems adaptation helped: it saves 0.4000 bits per byte and the interval excludes zero; the
adapted model is 0.1000 bits per byte above the floor, so counting characters still predicts better;
on news it cost 0.0500 bits per byte.

curves: results/bangla/runs/adapt/curves.png
"""


def test_the_text_to_the_letter():
    assert render(with_metrics(report())) == GOLDEN


def test_it_is_plain_and_narrow():
    text = render(with_metrics(report()))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


def test_every_figure_of_the_text_is_a_metric_row():
    rows = with_metrics(report())["metrics"]
    assert all(list(row) == METRIC_COLUMNS for row in rows)
    found = {(row["model"], row["register"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    assert found["tiny, adapted", "poems", "bits_per_byte"]["value"] == pytest.approx(1.5 + 0.1 / 30)
    assert found["tiny, adapted", "poems", "bits_per_byte_minus_base"]["value"] == pytest.approx(-0.4)
    assert found["tiny, adapted", "news", "bits_per_byte_minus_base"]["value"] == pytest.approx(0.05)
    assert found["tiny, adapted", "poems", "bits_per_byte_minus_floor"]["value"] == pytest.approx(0.1)
    assert found["tiny", "poems", "bits_per_byte_minus_floor_base"]["value"] == pytest.approx(-0.1)
    assert not any(row["model"] == "odd" for row in rows)


def test_few_documents_are_warned_of():
    text = render(with_metrics(report(documents=7)))
    assert "Warning: poems has 7 documents; with fewer than 30 an interval is too narrow." in text
    assert "Warning: news has 7 documents" in text
    assert "Warning" not in render(with_metrics(report()))


def test_a_base_worse_than_its_own_floor_is_warned_of():
    text = render(with_metrics(report(base=(2.4, 1.2))))
    assert "Warning: on poems the base predicts worse than counted characters" in text


def test_a_document_not_scored_is_seen_everywhere():
    made = report()
    adapted = next(one for one in made["systems"] if one["role"] == "adapted")
    adapted["rows"][0] |= {"nll": None, "failure": "not finite"}
    text = render(with_metrics(made))
    assert "tiny, adapted           inf  1 unscored" in text
    assert "Warning: tiny, adapted could not score 1 of 30 documents of poems" in text
    assert "On poems nothing can be said about adaptation, since 1 of 30 documents could not be scored" in (
        " ".join(text.split())
    )


def test_without_a_general_register_nothing_is_claimed_of_it():
    made = report() | {"general": []}
    text = " ".join(render(with_metrics(made)).split())
    assert "what it forgot elsewhere was not measured" in text
    assert "news" not in text


def test_several_target_registers_are_taken_together_in_the_differences():
    made = with_metrics(report() | {"target": ["poems", "news"], "general": []})
    gain = next(row for row in made["metrics"] if row["metric"] == "bits_per_byte_minus_base")
    assert (gain["register"], gain["n"], gain["text_sha256"]) == ("poems+news", 60, None)
    assert gain["value"] == pytest.approx((-0.4 + 0.05) / 2)
    assert "poems and news: adapted - base" in render(made)


def test_without_a_floor_of_the_base_text_its_line_is_left_out():
    made = report()
    made["systems"] = [one for one in made["systems"] if one["role"] != "floor_base"]
    assert "floor of base" not in render(with_metrics(made))


@pytest.mark.parametrize("role", ["floor", "base", "adapted"])
def test_a_report_without_what_it_compares_is_refused(role):
    made = report()
    made["systems"] = [one for one in made["systems"] if one["role"] != role]
    with pytest.raises(InputError, match=f"0 systems are its {role}"):
        ppl_rows(made, 100, 0)


def test_systems_on_different_texts_are_refused():
    made = report()
    made["systems"][2]["rows"].pop(0)
    with pytest.raises(InputError, match="scores do not compare"):
        ppl_rows(made, 100, 0)


def test_two_systems_of_one_name_are_refused():
    made = report()
    made["systems"][2]["model"] = made["systems"][3]["model"]
    with pytest.raises(ValueError, match="same model and run"):
        ppl_rows(made, 100, 0)


FEWER, MORE = Estimate(-0.25, -0.3, -0.2, 40, 0), Estimate(0.125, 0.1, 0.15, 40, 0)
UNCLEAR, TOUCHING = Estimate(-0.01, -0.05, 0.03, 40, 0), Estimate(-0.01, -0.02, 0.0, 40, 0)
UNSCORED, SINGLE = Estimate(None, None, None, 40, 3), Estimate(-0.5, None, None, 1, 0)


def clauses(gain=FEWER, floor=FEWER, forgot=UNCLEAR, general="news") -> list[str]:
    sentence = verdict(gain, floor, forgot, "poems", general)
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    return sentence[:-1].split("; ")


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (FEWER, "On poems adaptation helped: it saves 0.2500 bits per byte and the interval excludes zero"),
        (MORE, "On poems adaptation did harm: it costs 0.1250 bits per byte and the interval excludes zero"),
        (UNCLEAR, "On poems no effect of adaptation is shown, since the interval includes zero"),
        (TOUCHING, "On poems no effect of adaptation is shown, since the interval includes zero"),
        (UNSCORED, "On poems nothing can be said about adaptation, since 3 of 40 documents could not be scored"),
        (SINGLE, "On poems nothing can be said about adaptation, since a single document has no interval"),
    ],
)
def test_the_sentence_on_the_gain(gain, said):
    assert clauses(gain=gain)[0] == said


@pytest.mark.parametrize(
    ("floor", "said"),
    [
        (
            FEWER,
            "the adapted model is 0.2500 bits per byte below the floor, so it knows more than counted characters tell",
        ),
        (
            MORE,
            "the adapted model is 0.1250 bits per byte above the floor, so counting characters still predicts better",
        ),
        (UNCLEAR, "the adapted model cannot be told from the floor, which only counts characters"),
        (UNSCORED, "how it stands to the floor is unknown, since 3 of 40 documents could not be scored"),
        (SINGLE, "how it stands to the floor is unknown, since a single document has no interval"),
    ],
)
def test_the_sentence_on_the_floor(floor, said):
    assert clauses(floor=floor)[1] == said


@pytest.mark.parametrize(
    ("forgot", "general", "said"),
    [
        (FEWER, "news", "on news it forgot nothing and even saves 0.2500 bits per byte"),
        (MORE, "news", "on news it cost 0.1250 bits per byte"),
        (UNCLEAR, "news", "on news no cost is shown, since the interval includes zero"),
        (UNSCORED, "news", "what it cost on news is unknown, since 3 of 40 documents could not be scored"),
        (None, "", "what it forgot elsewhere was not measured"),
    ],
)
def test_the_sentence_on_what_was_forgotten(forgot, general, said):
    assert clauses(forgot=forgot, general=general)[2] == said
