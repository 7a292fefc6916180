"""The perplexity report: its rows, its text to the letter, and the sentence in each case."""

import math
from dataclasses import replace

import pytest

from kalam.evaluation.bits import Estimate
from kalam.evaluation.comparison import Comparison, comparison_rows, objection, with_base
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.evaluation.perplexity_report import evaluate, render
from kalam.evaluation.run_files import System
from kalam.evaluation.verdict import verdict
from kalam.files.errors import InputError


def scores(bits: dict[str, float], tokens: int | None, documents: int = 30, works: int = 100) -> list[dict]:
    """Documents of 100 bytes in each part, of so many works at most, all at the same cost but the first."""
    return [
        {
            "id": f"{part}{n:02}",
            "group": f"{part}{n % works:02}",
            "part": part,
            "bytes": 100,
            "characters": 40,
            "words": 6,
            "tokens": tokens,
            "nll": 100 * math.log(2) * (each + (0.1 if n == 0 else 0)),
            "failure": None,
        }
        for part, each in bits.items()
        for n in range(documents)
    ]


def system(
    name: str, role: str, poems: float, news: float, tokens: int | None = 25, documents: int = 30, works: int = 100
) -> System:
    return System(role, name, "test", scores({"poems": poems, "news": news}, tokens, documents, works))


def unscored(of: System, why: str | None, *numbers: int) -> System:
    """The same system with some of its documents not scored, all where none is named."""
    lost = numbers or range(len(of.rows))
    rows = [row | ({"nll": None, "failure": why} if n in lost else {}) for n, row in enumerate(of.rows)]
    return replace(of, rows=rows)


def report(documents: int = 30, works: int = 100, **costs) -> Comparison:
    cost = {"base": (1.9, 1.2), "adapted": (1.5, 1.25), "floor": (1.4, 1.15), "floor_base": (2.0, 1.1)} | costs
    return Comparison(
        project="bangla",
        run="adapt",
        language="bn",
        base={"model": "tiny", "run": None},
        context=2048,
        target=["poems"],
        general=["news"],
        text_sha256={"poems": "3fa94c11" * 8, "news": "90ab12cd" * 8},
        systems=[
            system("floor_base", "floor_base", *cost["floor_base"], None, documents, works),
            system("floor", "floor", *cost["floor"], None, documents, works),
            system("small", "candidate", 1.95, 1.3, 20, documents, works),
            system("tiny", "base", *cost["base"], 25, documents, works),
            system("adapt", "adapted", *cost["adapted"], 25, documents, works),
            unscored(system("odd", "candidate", 0.5, 0.5, 25, documents, works), "lossy tokenizer"),
        ],
    )


def without(made: Comparison, role: str) -> Comparison:
    return replace(made, systems=[one for one in made.systems if one.role != role])


def changed(made: Comparison, role: str, change) -> Comparison:
    """The comparison with something else in place of each system of a role."""
    return replace(made, systems=[change(one) if one.role == role else one for one in made.systems])


def rendered(made: Comparison) -> str:
    return render(made, comparison_rows(made, 200, 20))


GOLDEN = """\
Perplexity: project bangla, run adapt
language bn, split test, context 2048 bytes of text

Fewer bits per byte are better. They compare between all lines of a table, which are about the same
text under the same context; token perplexities compare within one tokenizer only. Intervals are
95%, over groups: documents of one work are drawn together.

Register poems (target): 30 documents in 30 groups, SHA-256 of the text 3fa94c113fa9...
                          bits/byte  95% interval      token perpl.      tokens        bytes
floor, base text             2.0033  [2.0000, 2.0133]             -           -        3,000
floor, base and run text     1.4033  [1.4000, 1.4133]             -           -        3,000
candidate small              1.9533  [1.9500, 1.9633]        871.08         600        3,000
base tiny                    1.9033  [1.9000, 1.9133]        195.81         750        3,000
adapted tiny                 1.5033  [1.5000, 1.5133]         64.59         750        3,000

Register news (general): 30 documents in 30 groups, SHA-256 of the text 90ab12cd90ab...
                          bits/byte  95% interval      token perpl.      tokens        bytes
floor, base text             1.1033  [1.1000, 1.1133]             -           -        3,000
floor, base and run text     1.1533  [1.1500, 1.1633]             -           -        3,000
candidate small              1.3033  [1.3000, 1.3133]         91.56         600        3,000
base tiny                    1.2033  [1.2000, 1.2133]         28.12         750        3,000
adapted tiny                 1.2533  [1.2500, 1.2633]         32.30         750        3,000

candidate odd: not compared, 60 of 60 documents could not be scored (lossy tokenizer)

Differences in bits per byte, document by document (below zero: the first is better)
poems: adapted - base          -0.4000  [-0.4000, -0.4000]  30 documents in 30 groups
news: adapted - base           +0.0500  [+0.0500, +0.0500]  30 documents in 30 groups
poems: adapted - floor         +0.1000  [+0.1000, +0.1000]  30 documents in 30 groups
poems: base - floor of base    -0.1000  [-0.1000, -0.1000]  30 documents in 30 groups

On poems adaptation helped: it saves 0.4000 bits per byte and the interval excludes zero; the
adapted model is 0.1000 bits per byte above the floor, so counting characters still predicts better;
on news it cost 0.0500 bits per byte.
"""


def test_the_text_to_the_letter():
    assert rendered(report()) == GOLDEN


def test_it_is_plain_and_narrow():
    text = rendered(report())
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


def test_every_figure_of_the_text_is_a_metric_row():
    made = report()
    rows = comparison_rows(made, 200, 20)
    assert all(list(row) == METRIC_COLUMNS for row in rows)
    found = {(row["role"], row["system"], row["part"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    assert found["adapted", "adapt", "poems", "bits_per_byte"]["value"] == pytest.approx(1.5 + 0.1 / 30)
    assert found["adapted", "adapt", "poems", "bits_per_byte_minus_base"]["value"] == pytest.approx(-0.4)
    assert found["adapted", "adapt", "news", "bits_per_byte_minus_base"]["value"] == pytest.approx(0.05)
    assert found["adapted", "adapt", "poems", "bits_per_byte_minus_floor"]["value"] == pytest.approx(0.1)
    assert found["base", "tiny", "poems", "bits_per_byte_minus_floor_base"]["value"] == pytest.approx(-0.1)
    assert not any(row["system"] == "odd" for row in rows)
    assert {(row["project"], row["run"], row["split"], row["context"]) for row in rows} == {
        ("bangla", "adapt", "test", 2048)
    }
    assert {(row["n"], row["groups"]) for row in rows} == {(30, 30)}
    assert all(row["text_sha256"] == made.text_sha256[row["part"]] for row in rows)
    # Nothing but the rows is read: what they say is what the text says.
    found["adapted", "adapt", "poems", "bits_per_byte"]["value"] = 7.1234
    found["adapted", "adapt", "poems", "bits_per_byte_minus_base"]["value"] = -0.8765
    text = render(made, rows)
    assert "adapted tiny                 7.1234  [1.5000, 1.5133]" in text
    assert "it saves 0.8765 bits per byte" in text


def test_few_documents_are_warned_of():
    text = rendered(report(documents=7))
    assert "Warning: poems has 7 documents in 7 groups; with fewer than 30 an interval is too narrow." in text
    assert "Warning: news has 7 documents in 7 groups" in text
    assert "Warning" not in rendered(report())


def test_chapters_of_two_books_are_two_and_not_fifty_six():
    text = rendered(report(documents=56, works=2))
    assert "Register poems (target): 56 documents in 2 groups, SHA-256" in text
    assert "poems: adapted - base          -0.4000  [-0.4000, -0.4000]  56 documents in 2 groups" in text
    assert "Warning: poems has 56 documents in 2 groups; with fewer than 30 an interval is too narrow." in text
    # One of the two has all that is special, and is drawn twice or not at all in a quarter of the cases each.
    (figure,) = (
        row
        for row in comparison_rows(report(documents=56, works=2), 400, 20)
        if (row["role"], row["part"], row["metric"]) == ("adapted", "poems", "bits_per_byte")
    )
    assert figure["value"] == pytest.approx(1.5 + 0.1 / 56)
    assert (figure["low"], figure["high"]) == pytest.approx((1.5, 1.5 + 0.1 / 28))


def test_a_base_worse_than_its_own_floor_is_warned_of():
    text = rendered(report(base=(2.4, 1.2)))
    assert "Warning: on poems the base predicts worse than counted characters" in text


def test_a_document_not_scored_is_seen_everywhere():
    made = changed(report(), "adapted", lambda one: unscored(one, "not finite", 0))
    text = rendered(made)
    assert "adapted tiny                    inf  1 unscored" in text
    assert "Warning: adapted tiny could not score 1 of 30 documents of poems" in text
    assert "On poems nothing can be said about adaptation, since 1 of 30 documents could not be scored" in (
        " ".join(text.split())
    )
    (figure,) = (
        row
        for row in comparison_rows(made, 200, 20)
        if (row["role"], row["part"], row["metric"]) == ("adapted", "poems", "bits_per_byte")
    )
    assert (figure["value"], figure["low"], figure["failures"]) == (math.inf, None, 1)


def test_a_candidate_that_could_not_score_all_is_left_out_with_the_reason():
    candidate = system("small", "candidate", 0.1, 0.1)
    assert objection(candidate) is None
    assert objection(unscored(candidate, "unknown token", 3, 40)) == (
        "2 of 60 documents could not be scored (unknown token)"
    )
    assert objection(unscored(candidate, None, 3)) == "1 of 60 documents could not be scored"
    nan = replace(candidate, rows=[candidate.rows[0] | {"nll": math.nan}, *candidate.rows[1:]])
    assert objection(nan) == "1 of 60 documents could not be scored"
    mixed = unscored(unscored(candidate, "unknown token", 3), "lossy tokenizer", 4)
    made = report()
    text = rendered(replace(made, systems=[*made.systems[:2], mixed, *made.systems[3:]]))
    assert "candidate small: not compared, 2 of 60 documents could not be scored (lossy tokenizer, unknown\ntoken)" in (
        text
    )
    assert "candidate small  " not in text


@pytest.mark.parametrize("role", ["floor", "base", "adapted"])
def test_what_a_run_is_about_is_never_left_out(role):
    made = report()
    assert objection(unscored(made.in_role(role), "not finite", 0)) is None


def test_without_a_general_part_nothing_is_claimed_of_it():
    text = " ".join(rendered(replace(report(), general=[])).split())
    assert "what it forgot elsewhere was not measured" in text
    assert "news" not in text


def test_several_target_parts_are_taken_together_in_the_differences():
    made = replace(report(), target=["poems", "news"], general=[])
    rows = comparison_rows(made, 200, 20)
    gains = [row for row in rows if row["metric"] == "bits_per_byte_minus_base"]
    assert [(row["part"], row["value"], row["n"], row["groups"], row["text_sha256"]) for row in gains] == [
        ("poems", pytest.approx(-0.4), 30, 30, made.text_sha256["poems"]),
        ("news", pytest.approx(0.05), 30, 30, made.text_sha256["news"]),
        ("poems+news", pytest.approx((-0.4 + 0.05) / 2), 60, 60, None),
    ]
    table = render(made, rows).split("\n\n")[5].splitlines()
    names = ["poems", "news", "poems and news"]
    pairs = ["adapted - base", "adapted - floor", "base - floor of base"]
    assert [line[:36].rstrip() for line in table[1:]] == [f"{name}: {pair}" for pair in pairs for name in names]


def test_registers_that_say_different_things_are_not_averaged_in_a_sentence():
    text = " ".join(rendered(replace(report(), target=["poems", "news"], general=[])).split())
    assert (
        "On poems adaptation helped: it saves 0.4000 bits per byte and the interval excludes zero; on news adaptation "
        "did harm: it costs 0.0500 bits per byte and the interval excludes zero; the adapted model is 0.1000 bits per "
        "byte above the floor" in text
    )
    assert "Warning: on news the base predicts worse than counted characters" in text
    assert "on poems the base" not in text and "and news the base" not in text
    alike = report(base=(1.9, 1.2), adapted=(1.5, 1.1), floor=(1.4, 1.2), floor_base=(1.8, 1.1))
    text = " ".join(rendered(replace(alike, target=["poems", "news"], general=[])).split())
    assert "On poems and news adaptation helped: it saves 0.2500 bits per byte and the interval excludes zero; " in text
    assert "on poems the adapted model is 0.1000 bits per byte above the floor, so counting" in text
    assert "; on news the adapted model is 0.1000 bits per byte below the floor, so it knows" in text
    assert text.count("Warning: on poems and news the base predicts worse") == 1
    forgot = report(adapted=(1.8, 1.25))
    text = " ".join(rendered(replace(forgot, target=["news"], general=["poems"])).split())
    assert "on poems it forgot nothing and even saves 0.1000" in text


def test_without_a_floor_of_the_base_text_its_line_is_left_out():
    text = rendered(without(report(), "floor_base"))
    assert "floor of base" not in text
    assert "floor, base text" not in text


@pytest.mark.parametrize("role", ["floor", "base", "adapted"])
def test_a_report_without_what_it_compares_is_refused(role):
    with pytest.raises(InputError, match=f"perplexity of run adapt: 0 systems are its {role}, 1 is allowed"):
        comparison_rows(without(report(), role), 100, 0)


def test_two_systems_in_one_role_are_refused():
    made = report()
    with pytest.raises(InputError, match="2 systems are its base, 1 is allowed"):
        comparison_rows(replace(made, systems=[*made.systems, system("small", "base", 1.0, 1.0)]), 100, 0)


def test_systems_on_different_texts_are_refused():
    made = report()
    made.systems[2].rows.pop(0)
    with pytest.raises(InputError, match="scores do not compare"):
        comparison_rows(made, 100, 0)


def test_a_system_without_a_part_is_refused():
    made = replace(report(), general=["drama"])
    with pytest.raises(InputError, match="no scored document of part drama"):
        comparison_rows(made, 100, 0)


def test_systems_of_one_name_are_told_apart_by_their_roles():
    same = ["floor", "base", "adapted"]
    candidates = [system(name, "candidate", 1.6 + n / 10, 1.7 + n / 10) for n, name in enumerate(same)]
    made = without(report(), "candidate")
    named = [replace(one, name="floor") for one in made.systems]
    made = replace(made, base={"model": "floor", "run": None}, systems=[*candidates, *named])
    rows = comparison_rows(made, 200, 20)
    poems = [row for row in rows if row["part"] == "poems"]
    figures = {(row["role"], row["system"], row["metric"]): row["value"] for row in poems}
    assert len(figures) == len(poems)
    for role, name, cost in [
        ("floor_base", "floor", 2.0),
        ("floor", "floor", 1.4),
        ("candidate", "floor", 1.6),
        ("candidate", "base", 1.7),
        ("candidate", "adapted", 1.8),
        ("base", "floor", 1.9),
        ("adapted", "floor", 1.5),
    ]:
        assert figures[role, name, "bits_per_byte"] == pytest.approx(cost + 0.1 / 30)
    table = render(made, rows).split("\n\n")[2].splitlines()[2:]
    assert [(line[:24].rstrip(), line[24:35].strip()) for line in table] == [
        ("candidate floor", "1.6033"),
        ("candidate base", "1.7033"),
        ("candidate adapted", "1.8033"),
        ("floor, base text", "2.0033"),
        ("floor, base and run text", "1.4033"),
        ("base floor", "1.9033"),
        ("adapted floor", "1.5033"),
    ]


def test_the_candidate_that_is_the_base_is_put_in_that_role():
    floors = [system(role, role, 1.0, 1.0, None) for role in ("floor_base", "floor")]
    candidates = [system(name, "candidate", 1.0, 1.0) for name in ("floor", "tiny", "base")]
    adapted = system("adapt", "adapted", 1.0, 1.0)
    found = with_base([adapted, *candidates, *floors], {"model": "tiny", "run": None})
    assert [(one.role, one.name) for one in found] == [
        ("floor_base", "floor_base"),
        ("floor", "floor"),
        ("candidate", "floor"),
        ("candidate", "base"),
        ("base", "tiny"),
        ("adapted", "adapt"),
    ]
    assert found[4].rows is candidates[1].rows
    for name in ("floor", "base"):  # no name is another's
        promoted = with_base([*floors, *candidates, adapted], {"model": name, "run": None})
        assert [one.name for one in promoted if one.role == "base"] == [name]
        assert [one.name for one in promoted if one.role == "floor"] == ["floor"]
        assert name not in [one.name for one in promoted if one.role == "candidate"]


def test_a_run_that_begins_with_another_has_a_base_of_its_own_and_the_model_of_that_one_is_left_out():
    first = system("first", "base", 1.7, 1.3)
    systems = [
        *report().systems[:3],
        system("tiny", "candidate", 1.9, 1.2),
        first,
        system("second", "adapted", 1.5, 1.2),
    ]
    base = {"model": "tiny", "run": "first"}
    found = with_base(systems, base)
    assert [(one.role, one.name) for one in found] == [
        ("floor_base", "floor_base"),
        ("floor", "floor"),
        ("candidate", "small"),
        ("base", "first"),
        ("adapted", "second"),
    ]
    made = replace(report(), base=base, systems=found)
    rows = comparison_rows(made, 200, 20)
    assert "tiny" not in {row["system"] for row in rows}
    gain = next(row for row in rows if row["metric"] == "bits_per_byte_minus_base")
    assert gain["value"] == pytest.approx(-0.2)
    text = render(made, rows)
    assert f"{'base tiny after first':24}  {1.7033:9.4f}" in text
    assert f"{'adapted tiny':24}  {1.5033:9.4f}" in text


ABOUT = {"project": "bangla", "run": "adapt", "language": "bn", "context": 2048, "parts": ["poems"]}


def test_a_run_is_evaluated_with_every_part_that_it_was_not_trained_on_as_general():
    made = report()
    digests = {"test": {"news": "90ab12cd" * 8, "poems": "3fa94c11" * 8}, "validation": {"drama": "00" * 32}}
    given = [replace(one, role="candidate") if one.role == "base" else one for one in made.systems[::-1]]
    found = evaluate(ABOUT, made.base, given, digests, 200, 20)
    assert [(one.role, one.name) for one in found.systems] == [
        ("floor", "floor"),
        ("floor_base", "floor_base"),
        ("candidate", "odd"),
        ("candidate", "small"),
        ("base", "tiny"),
        ("adapted", "adapt"),
    ]
    ordered = replace(made, systems=found.systems)
    assert found.metrics == comparison_rows(ordered, 200, 20)
    assert found.text == render(ordered, found.metrics)
    assert sorted(found.text.splitlines()) == sorted(GOLDEN.splitlines())  # the same lines, the floors the other way
    whole = evaluate(ABOUT | {"parts": ["poems", "news"]}, made.base, given, digests, 200, 20)
    assert "(general)" in found.text
    assert "(general)" not in whole.text


FEWER, MORE = Estimate(-0.25, -0.3, -0.2, 40, 0, 9), Estimate(0.125, 0.1, 0.15, 40, 0, 9)
UNCLEAR, TOUCHING = Estimate(-0.01, -0.05, 0.03, 40, 0, 9), Estimate(-0.01, -0.02, 0.0, 40, 0, 9)
UNSCORED, SINGLE = Estimate(None, None, None, 40, 3, 9), Estimate(-0.5, None, None, 1, 0, 1)


def clauses(gain=FEWER, floor=FEWER, forgot=UNCLEAR, general="news") -> list[str]:
    sentence = verdict({"poems": gain}, {"poems": floor}, {general: forgot} if forgot else {})
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
        (SINGLE, "On poems nothing can be said about adaptation, since a single group has no interval"),
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
        (SINGLE, "how it stands to the floor is unknown, since a single group has no interval"),
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
