"""The files that evaluation leaves of a run and of a project, from score rows and models on disk."""

import json
import re
from pathlib import Path

import pytest

from kalam.evaluation.bits import measure, text_digest
from kalam.evaluation.hidden_tokens import CountingFloor
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.evaluation.ngram import CharacterNgram, floor_rows, write_floors
from kalam.evaluation.perplexity import score
from kalam.evaluation.project_files import write_project
from kalam.evaluation.run_files import evaluate_run
from kalam.evaluation.systems import page_of_run, score_model, score_run
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl, write_json, write_jsonl
from kalam.files.tables import read_tsv, write_tsv

VERSE = ["বৃষ্টি পড়ে টাপুর টুপুর, নদে এল বান।", "শিব ঠাকুরের বিয়ে হল তিন কন্যে দান।", "এক কন্যে রাঁধেন বাড়েন, এক কন্যে খান।"]
NEWS = ["র\u200d্যাব-এর গাড়ি ক্ষেতের ধারে থেমে আছে।", "হঠাৎ ঢেউ, দুঃখ, চাঁদ: খবরের শেষ নেই।"]
TAMIL = ["மழை பெய்கிறது; க்ஷேமம் எல்லோருக்கும்.", "அன்பும் அறனும் உடைத்தாயின் இல்வாழ்க்கை."]
PARTS = {"verse": VERSE, "news": NEWS, "tamil": TAMIL}
ABOUT = {"project": "bangla", "run": "adapt"}
CAUSAL = {**ABOUT, "language": "bn", "context": 256, "parts": ["verse"]}
MASKED = {**ABOUT, "language": "ta", "share": 0.15, "draws": 1}
WINDOWS = {"context": 256, "stride": 256, "batch": 4}
HEAD = "AutoModelForCausalLM"


@pytest.fixture
def rows(tmp_path) -> dict[str, Path]:
    """The splits of a dataset, as files."""
    files = {split: tmp_path / "data" / f"{split}.jsonl" for split in ("train", "validation", "test")}
    for split, path in files.items():
        documents = [
            {"id": f"{split}-{part}{n}", "group": f"{part}{n // 2}", "register": part, "text": text}
            for part, texts in PARTS.items()
            for n, text in enumerate(texts)
        ]
        write_jsonl(path, documents)
    return files


def of_split(rows: dict[str, Path], split: str) -> list[dict]:
    return list(read_jsonl(rows[split]))


class Run:
    """A run's folder with score rows and base.json in it, and the call that evaluates it."""

    def __init__(self, folder: Path, base: dict):
        self.folder, self.systems = folder, []
        write_json(folder / "base.json", base)

    def add(self, role: str, name: str, split: str, scored: list[dict]) -> None:
        file = self.folder / "systems" / f"{len(self.systems)}.jsonl"
        write_jsonl(file, scored)
        self.systems.append(({"role": role, "name": name, "split": split}, file))

    def evaluate(self, module: str, about: dict, held_out: dict[str, Path]) -> None:
        outputs = {"scores": "scores.jsonl", "metrics": "metrics.tsv", "text": "report.txt"}
        files = {what: self.folder / name for what, name in outputs.items()}
        evaluate_run(module, about, self.folder / "base.json", self.systems, held_out, 200, 3, files)

    @property
    def scores(self) -> list[dict]:
        return list(read_jsonl(self.folder / "scores.jsonl"))

    @property
    def metrics(self) -> list[dict]:
        return read_tsv(self.folder / "metrics.tsv")

    @property
    def report(self) -> str:
        return (self.folder / "report.txt").read_text(encoding="utf-8")


def counted(texts: list[str], order: int, documents: list[dict]) -> list[dict]:
    """What stands for a model here: counted characters, which are its tokens too."""
    scored = floor_rows(CharacterNgram.fit(texts, order), documents)
    return [row | {"tokens": row["characters"]} for row in scored]


@pytest.fixture
def causal(tmp_path, rows) -> Run:
    """A causal run on the candidate `base`, beside one called `floor`."""
    documents, run = of_split(rows, "test"), Run(tmp_path / "runs" / "adapt", {"model": "base", "run": None})
    run.add("floor_base", "floor_base", "test", floor_rows(CharacterNgram.fit(NEWS, 2), documents))
    run.add("floor", "floor", "test", floor_rows(CharacterNgram.fit(NEWS + VERSE, 2), documents))
    run.add("candidate", "base", "test", counted(NEWS, 3, documents))
    run.add("candidate", "floor", "test", counted(TAMIL, 3, documents))
    run.add("adapted", "adapt", "test", counted(NEWS + VERSE, 4, documents))
    return run


def test_the_scores_of_a_run_keep_role_system_and_split_before_each_row(causal, rows):
    causal.evaluate("kalam.evaluation.perplexity_report", CAUSAL, {"test": rows["test"]})
    order = [("floor_base", "floor_base", 0), ("floor", "floor", 1), ("candidate", "floor", 3), ("base", "base", 2)]
    expected = [
        {"role": role, "system": name, "split": "test", **row}
        for role, name, number in [*order, ("adapted", "adapt", 4)]
        for row in read_jsonl(causal.systems[number][1])
    ]
    assert causal.scores == expected
    first = (causal.folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert list(json.loads(first))[:6] == ["role", "system", "split", "id", "group", "part"]


def test_every_figure_of_a_run_follows_from_its_scores(causal, rows):
    causal.evaluate("kalam.evaluation.perplexity_report", CAUSAL, {"test": rows["test"]})
    assert list(causal.metrics[0]) == METRIC_COLUMNS
    figures = {(row["role"], row["system"], row["part"], row["metric"]): row for row in causal.metrics}
    assert len(figures) == len(causal.metrics)
    documents = of_split(rows, "test")
    costs = {}
    for role, system in dict.fromkeys((row["role"], row["system"]) for row in causal.scores):
        for part, texts in PARTS.items():
            some = [row for row in causal.scores if (row["role"], row["system"], row["part"]) == (role, system, part)]
            row = figures[role, system, part, "bits_per_byte"]
            costs[role, system, part] = measure(some, "bits_per_byte")
            assert float(row["value"]) == pytest.approx(costs[role, system, part], rel=1e-5)
            assert (row["split"], row["context"], row["n"], row["failures"]) == ("test", "256", str(len(texts)), "0")
            assert row["groups"] == str(len({one["group"] for one in some}))
            assert row["text_sha256"] == text_digest([one for one in documents if one["register"] == part])
    gain = figures["adapted", "adapt", "verse", "bits_per_byte_minus_base"]
    expected = costs["adapted", "adapt", "verse"] - costs["base", "base", "verse"]
    assert float(gain["value"]) == pytest.approx(expected, rel=1e-4)
    assert expected < 0  # it has read the verse
    forgot = figures["adapted", "adapt", "news+tamil", "bits_per_byte_minus_base"]
    assert (forgot["n"], forgot["groups"], forgot["text_sha256"]) == ("4", "2", "")


def test_the_report_of_a_run_is_made_of_its_figures(causal, rows):
    causal.evaluate("kalam.evaluation.perplexity_report", CAUSAL, {"test": rows["test"]})
    assert causal.report.startswith("Perplexity: project bangla, run adapt\nlanguage bn, split test, context 256 bytes")
    for part, kind in (("verse", "target"), ("news", "general"), ("tamil", "general")):
        digest = text_digest([one for one in of_split(rows, "test") if one["register"] == part])
        groups = {one["group"] for one in of_split(rows, "test") if one["register"] == part}
        size = f"{len(PARTS[part])} documents in {len(groups)} groups"
        assert f"Register {part} ({kind}): {size}, SHA-256 of the text {digest[:12]}" in causal.report
    for role, system, label in (
        ("candidate", "floor", "candidate floor"),
        ("floor", "floor", "floor, base and run text"),
        ("base", "base", "base base"),
        ("adapted", "adapt", "adapted base"),
    ):
        shown = [float(value) for value in re.findall(rf"^{label:24}  (.{{9}})  [\[-]", causal.report, re.MULTILINE)]
        mine = [row for row in causal.metrics if (row["role"], row["system"]) == (role, system)]
        written = {row["part"]: float(row["value"]) for row in mine if row["metric"] == "bits_per_byte"}
        assert shown == pytest.approx([written[part] for part in PARTS], abs=1e-4)
    assert causal.report.endswith(".\n")
    assert "Loss curves" not in causal.report  # the files of a run are named by the project's page


def test_equal_scores_give_equal_files(causal, rows):
    found = []
    for _ in range(2):
        causal.evaluate("kalam.evaluation.perplexity_report", CAUSAL, {"test": rows["test"]})
        found.append([(causal.folder / name).read_bytes() for name in ("scores.jsonl", "metrics.tsv", "report.txt")])
    assert found[0] == found[1]
    assert all(b"\r" not in content and content.endswith(b"\n") for content in found[0])


@pytest.mark.parametrize("fault", ["text that is not NFC", "row that is missing", "line that is no JSON"])
def test_what_does_not_compare_writes_nothing(causal, rows, fault):
    scores, message = causal.systems[2][1], "scores do not compare"
    if fault == "text that is not NFC":
        write_jsonl(rows["test"], [of_split(rows, "test")[0] | {"text": "ড\u09bc পড\u09bcে \u09dc"}])
        message = "its text is not NFC"
    elif fault == "row that is missing":
        write_jsonl(scores, list(read_jsonl(scores))[1:])
    else:
        scores.write_text(scores.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
        message = f"{scores}:8: not a line of JSON"
    with pytest.raises(InputError, match=message):
        causal.evaluate("kalam.evaluation.perplexity_report", CAUSAL, {"test": rows["test"]})
    assert {path.name for path in causal.folder.iterdir()} == {"base.json", "systems"}


def test_a_masked_run_keeps_both_of_its_held_out_splits(tmp_path, rows, unigram):
    run = Run(tmp_path / "runs" / "mlm", {"model": "small", "run": None})
    texts = {"floor": TAMIL, "base": NEWS, "adapted": TAMIL * 9}
    names = {"floor": "floor", "base": "base", "adapted": "mlm"}
    held_out = {split: rows[split] for split in ("validation", "test")}
    for split in held_out:
        for role, read in texts.items():
            run.add(role, names[role], split, CountingFloor(unigram, read).score(of_split(rows, split)))
    run.evaluate("kalam.evaluation.hidden_tokens_report", MASKED, held_out)
    assert run.scores == [
        {"role": system["role"], "system": system["name"], "split": system["split"], **row}
        for system, file in run.systems
        for row in read_jsonl(file)
    ]
    assert list(dict.fromkeys(row["split"] for row in run.scores)) == ["validation", "test"]
    figures = {(r["split"], r["part"], r["role"], r["metric"]): r for r in run.metrics}
    assert len(figures) == len(run.metrics) == 2 * 3 * (3 * 4 + 2)
    for split in held_out:
        for part in PARTS:
            digest = text_digest([one for one in of_split(rows, split) if one["register"] == part])
            assert figures[split, part, "base", "masked_nll"]["text_sha256"] == digest
            assert f"Register {part}, split {split}: {len(PARTS[part])} documents" in run.report
            some = [row for row in run.scores if (row["role"], row["split"], row["part"]) == ("adapted", split, part)]
            value = float(figures[split, part, "adapted", "masked_nll"]["value"])
            assert value == pytest.approx(measure(some, "masked_nll"), rel=1e-5)
    assert float(figures["test", "tamil", "adapted", "masked_nll_minus_floor"]["value"]) < 0


# --- models on disk


@pytest.fixture
def models(model_folder, tmp_path) -> dict[str, Path]:
    """The meta.json of two models: one called `base`, one called `floor`."""
    found = {}
    for seed, name in enumerate(("base", "floor")):
        found[name] = tmp_path / "models" / name / "meta.json"
        found[name].parent.parent.mkdir(exist_ok=True)
        found[name].parent.symlink_to(model_folder(seed=seed))
        write_json(found[name], {"digest": name})
    return found


@pytest.fixture
def trained(models, model_folder, tmp_path) -> tuple[Path, Path]:
    """base.json and meta.json of a run that has trained every weight of the model `base`."""
    folder = tmp_path / "runs" / "adapt"
    folder.mkdir(parents=True)
    (folder / "model").symlink_to(model_folder(seed=7))
    write_json(folder / "meta.json", {"digest": "trained", "identity": {"kind": "full"}})
    base = {"model": "base", "run": None, "folder": str(models["base"].parent), "adapter": None, "remote_code": False}
    write_json(folder / "base.json", base)
    return folder / "base.json", folder / "meta.json"


def test_a_run_from_models_to_files(models, trained, rows, tiny, tokenizer, tmp_path):
    """Each system is scored in a call of its own, as by the rules, and a model may be called as a role is."""
    base, meta = trained
    module, test, systems = "kalam.evaluation.perplexity", {"test": rows["test"]}, tmp_path / "systems"
    parts = {"floor_base": ["news"], "floor": ["news", "verse"]}
    write_floors(rows, parts, [1, 2], {name: systems / f"{name}.jsonl" for name in parts}, systems / "floors.json")
    for name, file in models.items():
        outputs = {split: tmp_path / f"{name}.{split}.jsonl" for split in ("validation", "test")}
        score_model(module, file, HEAD, WINDOWS, {split: rows[split] for split in outputs}, outputs)
    for name in ("base", "adapted"):
        score_run(module, name, base, meta, "none", HEAD, WINDOWS, test, {"test": systems / f"{name}.jsonl"})

    documents = of_split(rows, "test")
    for file, seed in ((tmp_path / "base.test.jsonl", 0), (systems / "base.jsonl", 0), (systems / "adapted.jsonl", 7)):
        assert list(read_jsonl(file)) == list(score(tiny(seed=seed), tokenizer, documents, **WINDOWS))
    assert [row["id"] for row in read_jsonl(tmp_path / "floor.validation.jsonl")] == [
        document["id"] for document in of_split(rows, "validation")
    ]

    run = Run(base.parent, read_json(base))
    run.systems = [
        *(({"role": name, "name": name, "split": "test"}, systems / f"{name}.jsonl") for name in parts),
        *(({"role": "candidate", "name": n, "split": "test"}, tmp_path / f"{n}.test.jsonl") for n in models),
        ({"role": "adapted", "name": "adapt", "split": "test"}, systems / "adapted.jsonl"),
    ]
    run.evaluate("kalam.evaluation.perplexity_report", CAUSAL, test)
    assert list(dict.fromkeys((row["role"], row["system"]) for row in run.scores)) == [
        ("floor_base", "floor_base"),
        ("floor", "floor"),
        ("candidate", "floor"),
        ("base", "base"),
        ("adapted", "adapt"),
    ]
    assert [row for row in run.scores if row["role"] == "adapted"] == [
        {"role": "adapted", "system": "adapt", "split": "test", **row}
        for row in score(tiny(seed=7), tokenizer, documents, **WINDOWS)
    ]


def test_a_page_shows_documents_of_the_parts_of_its_run_only(trained, rows, tmp_path):
    output = tmp_path / "page.html"
    page_of_run(
        "kalam.evaluation.continuations",
        "bangla: adapt",
        "bn",
        *trained,
        "none",
        HEAD,
        {split: rows[split] for split in ("train", "test")},
        ["verse"],
        {"count": 9, "seed": 1},
        output,
    )
    page = output.read_text(encoding="utf-8")
    assert page.count("<section>") == len(VERSE)
    assert all(text.split()[0] in page for text in VERSE)
    assert not any(text.split()[0] in page for text in NEWS + TAMIL)


# --- the pages of a project


@pytest.fixture
def project(tmp_path):
    """Writes the files of a project of two runs."""
    runs = [
        {"run": "mlm", "runs": ["mlm.fold1", "mlm.fold2"], "page": "Fillings", "candidates": False},
        {"run": "adapt", "runs": ["adapt"], "page": "Continuations", "candidates": True},
    ]
    outputs = {"text": "ppl.txt", "metrics": "metrics.tsv", "provenance": "provenance.json"}
    outputs = {what: tmp_path / "tamil" / name for what, name in outputs.items()}
    reports, metrics = [], []
    for number, run in enumerate(runs):
        folder = tmp_path / "tamil" / "runs" / run["run"]
        folder.mkdir(parents=True)
        reports.append(folder / "report.txt")
        reports[-1].write_text(f"Report of {run['run']}: மழை, বান\n\nIt helped.\n", encoding="utf-8")
        metrics.append(folder / "metrics.tsv")
        figures = [(f"metric{n}", 1.23456789 + number, n) for n in range(2)]
        place = dict.fromkeys(METRIC_COLUMNS) | {"project": "tamil", "run": run["run"], "part": "கவிதை"}
        write_tsv(metrics[-1], [place | {"metric": m, "value": v, "n": n} for m, v, n in figures], METRIC_COLUMNS)

    table = tmp_path / "runs.txt"
    table.write_text("Runs on the same text: none\n", encoding="utf-8")

    def write() -> dict[str, Path]:
        write_project(runs, reports, metrics, [table], {"language": "ta", "note": "மழை"}, 5, outputs)
        return outputs

    return write


def test_the_page_of_a_project_has_its_runs_in_order_each_with_its_files_and_candidates_where_compared(project, capsys):
    text = project()["text"].read_text(encoding="utf-8")
    assert (
        text
        == """\
Report of mlm: மழை, বান

It helped.

Loss curves: runs/mlm.fold1/curves.svg
Loss curves: runs/mlm.fold2/curves.svg
Fillings: runs/mlm.fold1/page.html
Fillings: runs/mlm.fold2/page.html
Figures: metrics.tsv

Report of adapt: மழை, বান

It helped.

Loss curves: runs/adapt/curves.svg
Continuations: runs/adapt/page.html
Figures: metrics.tsv
Candidates: candidates.tsv

Runs on the same text: none
"""
    )
    assert capsys.readouterr().out == text + "\n"


def test_the_metrics_of_a_project_are_those_of_its_runs_one_after_the_other(project, tmp_path):
    written = project()["metrics"]
    head, *lines = written.read_text(encoding="utf-8").splitlines()
    assert head.split("\t") == METRIC_COLUMNS
    for run in ("mlm", "adapt"):
        one, *of_run = (tmp_path / "tamil" / "runs" / run / "metrics.tsv").read_text(encoding="utf-8").splitlines()
        assert one == head
        assert lines[:2] == of_run
        lines = lines[2:]
    assert lines == []
    assert [(row["run"], row["value"], row["part"]) for row in read_tsv(written)][::2] == [
        ("mlm", "1.23457", "கவிதை"),
        ("adapt", "2.23457", "கவிதை"),
    ]


def test_a_project_says_what_it_was_made_with(project):
    made = read_json(project()["provenance"])
    assert (made["config"], made["seed"]) == ({"language": "ta", "note": "மழை"}, 5)
    assert made["packages"].keys() >= {"torch", "transformers"}
