"""Input that is not what it should be: dropped with its reason, or named in one line; never passed silently."""

import os

from pipeline import RESULTS, Outcome, Project

SOURCES = RESULTS / "data/text/sources"
LETTERS = "resources/bangla/everyday.jsonl"
POEMS = "resources/bangla/poems"


def stopped(project: Project, name: str, log: str, line: str) -> Outcome:
    """Ask for a file and check that its rule stops with this line alone, and that no file is there."""
    outcome = project.snakemake(RESULTS / name)
    assert outcome.status == 1, outcome.output
    (error,) = [text for text in project.log(log).splitlines() if "error: " in text]
    assert error.partition("error: ")[2].startswith(line), error
    assert "Traceback" not in outcome.output
    assert not (project / RESULTS / name).exists()
    assert not list((project / "results").rglob("*.tmp"))
    return outcome


# How each of these lines is told is in tests/unit/test_sources.py and test_sites.py.
def test_a_broken_line_is_named_by_file_and_number(project):
    lines = (project / LETTERS).read_bytes().splitlines(keepends=True)
    lines.insert(2, b'{"text": "\xe0\xa6\n"}\n')
    (project / LETTERS).write_bytes(b"".join(lines))
    name = "data/text/sources/everyday.jsonl"
    stopped(project, name, "collect/text.everyday.log", f"source everyday: {LETTERS}:3: ")


def test_bytes_that_are_no_text_are_dropped_and_old_encodings_read(project):
    """A poem in UTF-16 is one; noise and an empty file are none."""
    first, second, third, *_ = sorted((project / POEMS).glob("*.txt"))
    text = first.read_text(encoding="utf-8")
    first.write_bytes(text.encode("utf-16"))
    second.write_bytes(bytes(range(128, 256)) * 20)
    third.write_bytes(b"")
    project.run(RESULTS / "data/text/clean/poems.jsonl")
    kept = {row["group"]: row for row in project.rows(RESULTS / "data/text/clean/poems.jsonl")}
    gone = {row["path"] for row in project.rows(SOURCES / "poems.dropped.jsonl")}
    gone |= {
        row["group"].removeprefix("poems/") for row in project.rows(RESULTS / "data/text/clean/poems.dropped.jsonl")
    }
    assert gone == {f"{POEMS}/{second.name}", f"{POEMS}/{third.name}"}
    assert text.split("\n\n")[-1].split("\n")[0].strip() in kept[f"poems/{POEMS}/{first.name}"]["text"]


def test_a_source_without_a_document_stops(project):
    (project / LETTERS).write_bytes(b"")
    stopped(
        project,
        "data/text/sources/everyday.jsonl",
        "collect/text.everyday.log",
        "source everyday: no document; dropped: ",
    )


def test_too_few_documents_for_the_splits_stop_by_register(finished_copy):
    for poem in sorted((finished_copy / POEMS).glob("*.txt"))[2:]:
        poem.unlink()
    outcome = finished_copy.snakemake(RESULTS / "data/text/train.jsonl")
    assert outcome.status == 1
    assert (
        "error: register verse: 2 documents in 2 groups found, none for validation; wanted is a source"
        in outcome.output
    )
    assert "Traceback" not in outcome.output


def test_a_result_that_was_cut_by_hand_is_named_where_it_is_read(finished_copy):
    """What Snakemake took for whole is read with the same care as what users give."""
    test = finished_copy / RESULTS / "data/text/test.jsonl"
    lines = test.read_bytes().splitlines(keepends=True)
    test.write_bytes(b"".join(lines)[: -len(lines[-1]) // 2])
    outcome = finished_copy.snakemake(RESULTS / "runs/adapt/systems/floors.json")
    assert outcome.status == 1
    assert f"error: {RESULTS}/data/text/test.jsonl:{len(lines)}: not a line of JSON" in outcome.output
    assert "Traceback" not in outcome.output


def test_names_may_have_braces_and_must_be_utf_8(project):
    """Snakemake takes braces in what an input function gives for wildcards, and falls over names of other bytes."""
    (project / "own").mkdir()
    poems = sorted((project / POEMS).glob("*.txt"))
    for poem, name in zip(
        poems, ("{source}.txt", "{draft} one.txt", "{{x}}.txt", "}{.txt", "{config[seed]}.txt"), strict=False
    ):
        (project / "own" / name).write_bytes(poem.read_bytes())
    shown = {"kind": "files", "register": "verse", "paths": ["own/*.txt"]}
    with project.changed() as section:
        section["datasets"]["text"]["sources"]["own"] = shown
    project.run(SOURCES / "own.jsonl")
    groups = [
        "own/own/" + name for name in ("{config[seed]}.txt", "{draft} one.txt", "{source}.txt", "{{x}}.txt", "}{.txt")
    ]
    assert [row["group"] for row in project.rows(SOURCES / "own.jsonl")] == groups
    assert project.plan(SOURCES / "own.jsonl").jobs == {}
    with open(project / "own/{source}.txt", "a", encoding="utf-8") as poem:
        poem.write("\nশেষের একটি পঙ্‌ক্তি।\n")
    assert project.plan(SOURCES / "own.jsonl").jobs == {"collect": 1}
    (project / "own" / os.fsdecode(b"\xe0\xa6.txt")).touch()
    outcome = project.snakemake(SOURCES / "own.jsonl")
    line = "config: projects.bangla.datasets.text.sources.own.paths: 'own/\\udce0\\udca6.txt': its name is not UTF-8"
    assert outcome.status == 1 and line in outcome.output and "Traceback" not in outcome.output
