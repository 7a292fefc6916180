"""Runs side by side, and the runs of folds together: tables and metric rows from the files of runs alone."""

import math
import random
from pathlib import Path

import pytest

from kalam.evaluation.bits import paired_difference, text_digest
from kalam.evaluation.metrics import METRIC_COLUMNS, metric_rows, read_metrics
from kalam.evaluation.out_of_fold import write_out_of_fold
from kalam.evaluation.run_table import write_run_table
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl
from kalam.files.tables import write_tsv

PARTS = ("verse", "prose")
ROLES = {"floor": 2.0, "candidate": 1.8, "base": 1.5, "adapted": 1.0}
PLACE = {"project": "p", "run": "r", "system": "s", "role": "adapted", "split": "test", "part": "verse"}
PLACE |= {"context": 64, "text_sha256": "ab"}
OUTPUTS = ("scores", "metrics", "text")


def documents(first: int = 0, last: int = 12) -> list[dict]:
    """Two documents in each group."""
    return [
        {"id": f"{part}{n:02}", "group": f"{part}/{n // 2}", "register": part, "text": f"কবিতা {part} {n}"}
        for part in PARTS
        for n in range(first, last)
    ]


def scores(rows: list[dict], bits: float, seed: int = 1, tokens: int = 4) -> list[dict]:
    draw = random.Random(seed)
    return [
        {
            **{"id": row["id"], "group": row["group"], "part": row["register"], "bytes": 50, "characters": 20},
            **{"words": 3, "tokens": tokens, "correct": 1, "nll": 50 * math.log(2) * (bits + draw.gauss(0, 0.1))},
        }
        for row in rows
    ]


def write_run(folder: Path, run: str, systems: dict, rows: list[dict], measure="bits_per_byte", context=256) -> None:
    """A run's score rows on validation and test, by role and name, and its metric rows."""
    named = [
        {"role": role, "system": name, "split": split, **row}
        for split in ("validation", "test")
        for (role, name), some in systems.items()
        for row in some
    ]
    write_jsonl(folder / run / "scores.jsonl", named)
    found = []
    for (role, name), some in systems.items():
        for part in PARTS:
            place = {"project": "bangla", "run": run, "system": name, "role": role, "part": part, "context": context}
            digest = text_digest([row for row in rows if row["register"] == part])
            of_part = [row for row in some if row["part"] == part]
            figures = metric_rows(of_part, 100, 1, text_sha256=digest, split="test", **place)
            found += [row | {"metric": measure} if row["metric"] == "bits_per_byte" else row for row in figures]
    write_tsv(folder / run / "metrics.tsv", found, METRIC_COLUMNS)


# --- runs side by side


def side_by_side(folder: Path, runs: dict[str, list[dict]], measure: str = "bits_per_byte") -> tuple[list[dict], str]:
    for run, some in runs.items():
        write_run(folder, run, {("base", "llama"): some, ("adapted", run): some}, documents(), measure)
    files = [{run: folder / run / name for run in runs} for name in ("scores.jsonl", "metrics.tsv")]
    outputs = {name: folder / name for name in ("metrics", "text")}
    write_run_table("bangla", [{"measure": measure, "runs": list(runs)}], *files, 200, 3, outputs)
    return read_metrics(outputs["metrics"]), outputs["text"].read_text(encoding="utf-8")


def test_runs_on_the_same_text_are_compared_with_the_first_of_them(tmp_path):
    runs = {f"adapt.rank{rank}": scores(documents(), bits, rank) for rank, bits in ((2, 1.5), (4, 1.2), (8, 1.5))}
    rows, text = side_by_side(tmp_path, runs)
    assert [(row["run"], row["system"], row["part"]) for row in rows] == [
        (run, run, part) for part in PARTS for run in ("adapt.rank4", "adapt.rank8")
    ]
    assert {(row["metric"], row["role"], row["split"], row["context"]) for row in rows} == {
        ("bits_per_byte_minus_adapt.rank2", "adapted", "test", 256)
    }
    verse = {run: [row for row in some if row["part"] == "verse"] for run, some in runs.items()}
    gap = paired_difference(verse["adapt.rank4"], verse["adapt.rank2"], 200, 3)
    assert (rows[0]["value"], rows[0]["low"], rows[0]["high"]) == pytest.approx((gap.value, gap.low, gap.high), 1e-5)
    assert rows[0]["text_sha256"] == text_digest([row for row in documents() if row["register"] == "verse"])
    assert rows[0]["high"] < 0
    figure = read_metrics(tmp_path / "adapt.rank4" / "metrics.tsv")
    own = next(r for r in figure if (r["role"], r["part"], r["metric"]) == ("adapted", "verse", "bits_per_byte"))
    line = next(line for line in text.splitlines() if line.startswith("adapt.rank4"))
    values = f"{own['value']:.4f}", f"[{own['low']:.4f}, {own['high']:.4f}]", f"{gap.value:+.4f}"
    assert all(value in line for value in values)
    assert "Part verse: 12 rows in 6 groups" in text and "minus adapt.rank2" in text
    assert "Warning: verse has 12 rows in 6 groups; with fewer than 30 an interval is too narrow." in text


def test_a_run_of_another_text_or_of_other_tokens_is_named_and_not_compared(tmp_path):
    runs = {"first": scores(documents(), 1.5), "same": scores(documents(), 1.4), "short": scores(documents(0, 8), 1.4)}
    rows, text = side_by_side(tmp_path, runs)
    assert {row["run"] for row in rows} == {"same"}
    assert "short: not compared with first, scores do not compare: 8 documents have only one of them" in text
    runs = {"first": scores(documents(), 1.5), "other": scores(documents(), 1.5, tokens=5)}
    rows, text = side_by_side(tmp_path / "masked", runs, "masked_nll")
    assert rows == []
    assert "other: not compared with first, it counts other tokens" in text
    assert {row["run"] for row in side_by_side(tmp_path / "bytes", runs)[0]} == {"other"}, "bytes are the same"


# --- folds together


def out_of_fold(folder: Path, edit=None, measure="bits_per_byte", context=256) -> dict[str, Path]:
    """Three folds of four documents of each part."""
    files: dict[str, list[Path]] = {"scores": [], "metrics": [], "rows": []}
    for fold in range(3):
        run, rows = f"grade.fold{fold + 1}", documents(4 * fold, 4 * fold + 4)
        names = {"adapted": run, "candidate": "large", "base": "llama", "floor": "floor"}
        systems = {(role, names[role]): scores(rows, bits, fold) for role, bits in ROLES.items()}
        if edit:
            edit(fold, systems)
        write_run(folder, run, systems, rows, measure, context)
        write_jsonl(folder / run / "rows.jsonl", rows)
        for what, name in (("scores", "scores.jsonl"), ("metrics", "metrics.tsv"), ("rows", "rows.jsonl")):
            files[what].append(folder / run / name)
    outputs = {name: folder / name for name in OUTPUTS}
    about = {"project": "bangla", "run": "grade", "language": "bn"}
    write_out_of_fold(about, measure, *files.values(), "register", 200, 3, outputs)
    return outputs


def test_folds_together_answer_each_row_once(tmp_path):
    rows = list(read_jsonl(out_of_fold(tmp_path)["scores"]))
    adapted = [row for row in rows if row["role"] == "adapted"]
    assert sorted(row["id"] for row in adapted) == sorted(row["id"] for row in documents())
    assert {(row["system"], row["split"]) for row in adapted} == {("grade", "test")}
    assert {row["fold"]: row["id"] for row in adapted} == {1: "prose03", 2: "prose07", 3: "prose11"}
    assert len(rows) == len(ROLES) * len(adapted)


def test_figures_of_folds_together_are_drawn_by_group(tmp_path):
    found = read_metrics(out_of_fold(tmp_path)["metrics"])
    figures = {(row["role"], row["part"], row["metric"]): row for row in found}
    assert len(figures) == len(found), "no figure twice"
    figure = figures["adapted", "verse", "bits_per_byte"]
    assert (figure["run"], figure["system"], figure["n"], figure["groups"]) == ("grade", "grade", 12, 6)
    assert (figure["split"], figure["context"]) == ("test", 256)
    assert figure["text_sha256"] == text_digest([row for row in documents() if row["register"] == "verse"])
    pooled = [row for fold in range(3) for row in scores(documents(4 * fold, 4 * fold + 4), ROLES["adapted"], fold)]
    nll = math.fsum(row["nll"] for row in pooled if row["part"] == "verse")
    assert figure["value"] == pytest.approx(nll / math.log(2) / 600, rel=1e-5)
    for role in ("base", "floor"):
        gap = figures["adapted", "verse", f"bits_per_byte_minus_{role}"]
        # The draws of a fold are the same for each role, so every document has the same difference.
        assert (gap["value"], gap["low"], gap["high"]) == pytest.approx((ROLES["adapted"] - ROLES[role],) * 3)
    assert ("adapted", "verse", "bits_per_byte_minus_candidate") not in figures


def test_the_report_of_folds_has_every_system_and_each_fold(tmp_path):
    text = out_of_fold(tmp_path)["text"].read_text(encoding="utf-8")
    assert "Out of fold: project bangla, run grade of 3 folds\nlanguage bn, context 256 bytes of text\n" in text
    assert "Part verse: 12 rows in 6 groups, SHA-256 of the text " in text
    lines = {line.split("  ")[0]: line for line in text.split("Part prose")[0].splitlines()}
    assert lines.keys() >= {"adapted grade", "base llama", "candidate large", "floor"}
    assert "-0.5000  [-0.5000, -0.5000]" in lines["base llama"] and "-1.0000" in lines["floor"]
    assert text.count("By fold: ") == len(PARTS)


def test_folds_of_another_measure_have_that_measure(tmp_path):
    outputs = out_of_fold(tmp_path, measure="masked_nll", context=None)
    found = read_metrics(outputs["metrics"])
    assert {row["metric"] for row in found} == {
        *("masked_nll", "masked_accuracy", "masked_nll_minus_floor", "masked_nll_minus_base")
    }
    assert {row["context"] for row in found} == {None}
    assert "language bn\n" in outputs["text"].read_text(encoding="utf-8")


def lose(fold: int, systems: dict) -> None:
    if fold == 1:
        systems["adapted", "grade.fold2"].pop()


def test_a_row_without_an_answer_stops_it(tmp_path):
    with pytest.raises(InputError, match="folds: found 23 answers to 24 rows; allowed is one to each"):
        out_of_fold(tmp_path, lose)


def test_metric_rows_are_read_as_they_were_written(tmp_path):
    (row,) = [row for row in metric_rows(scores(documents(), 1.5), 100, 1, **PLACE) if row["metric"] == "bits_per_byte"]
    write_tsv(tmp_path / "metrics.tsv", [row | {"value": 1.25, "low": None, "high": math.inf}], METRIC_COLUMNS)
    assert read_metrics(tmp_path / "metrics.tsv") == [row | {"value": 1.25, "low": None, "high": math.inf}]


def test_folds_of_several_draws_are_put_together_draw_by_draw(tmp_path):
    def twice(fold, systems):
        for (role, _), rows in systems.items():
            if role != "floor":
                rows[:] = [{**row, "draw": draw, "nll": row["nll"] * (1 + draw)} for row in rows for draw in (1, 2)]

    found = read_metrics(out_of_fold(tmp_path, twice, "masked_nll", None)["metrics"])
    figures = {(row["role"], row["part"], row["metric"]): row for row in found}
    pooled = [row for fold in range(3) for row in scores(documents(4 * fold, 4 * fold + 4), ROLES["adapted"], fold)]
    once = math.fsum(row["nll"] for row in pooled if row["part"] == "verse")
    tokens = sum(row["tokens"] for row in pooled if row["part"] == "verse")
    figure = figures["adapted", "verse", "masked_nll"]
    assert (figure["n"], figure["groups"]) == (12, 6)
    assert figure["value"] == pytest.approx(2.5 * once / tokens, rel=1e-5)
    assert figures["adapted", "verse", "masked_nll_minus_floor"]["n"] == 12
