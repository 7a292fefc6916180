"""Figures in the README and the docs are those of the committed results."""

import pytest

from benchmarks.figures import ROOT, filled
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json
from kalam.files.tables import write_tsv

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_results_say(page):
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "python -m benchmarks.figures writes it"


@pytest.fixture
def results(tmp_path):
    write_json(tmp_path / "a.json", {"seeds": [{"gain": -0.18214}, {"n": 32}]})
    rows = [{"role": "base", "part": "verse", "value": "1.5"}, {"role": "base", "part": "prose", "value": "1.25"}]
    write_tsv(tmp_path / "m.tsv", rows, ["role", "part", "value"])
    (tmp_path / "p.txt").write_text("head\n\nRegister x\nbase 1.5\n\nThe end.\n\nLoss curves: y\n", encoding="utf-8")
    return tmp_path


def test_what_stands_between_the_marks_is_written_anew_and_nothing_else(results):
    text = (
        'Gain <!-- value a.json "seeds/0/gain" +.3f -->9<!-- end -->, n <!-- value a.json "seeds/1/n" --><!-- end -->, '
        '| <!-- value m.tsv "role=base part=prose value" .1f -->0.0<!-- end --> | 7\n\n'
        '<!-- block p.txt "Register" "Loss" -->\n\n```\nold\n```\n\nafter\n'
    )
    new = filled(text, results)
    assert '+.3f -->-0.182<!-- end -->, n <!-- value a.json "seeds/1/n" -->32<!-- end -->' in new
    assert 'value" .1f -->1.2<!-- end --> | 7' in new
    assert new.endswith("-->\n\n```\nRegister x\nbase 1.5\n\nThe end.\n```\n\nafter\n")
    assert filled(new, results) == new


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('<!-- value a.json "seeds/2/n" -->1<!-- end -->', r"a\.json: seeds/2/n: no one figure is found"),
        ('<!-- value a.json "speed" -->1<!-- end -->', r"a\.json: speed: no one figure"),
        ('<!-- value m.tsv "role=base value" -->1<!-- end -->', r"m\.tsv: role=base value: no one figure"),
        ('<!-- value b.json "x" -->1<!-- end -->', r"b\.json: x: no one figure"),
        ('<!-- block p.txt "Register" "Nothing" -->\n```\n```\n', r"p\.txt: no lines from 'Register' to 'Nothing'"),
    ],
)
def test_a_figure_that_is_not_there_is_named(results, mark, message):
    with pytest.raises(InputError, match=message):
        filled(mark, results)
