"""A run that learns to answer, on top of a finished workflow: what it reads, what it makes, what it leaves alone."""

import csv
import json

import pytest
from pipeline import RESULTS, TRAINING, Project

NUMBERS = ["এক", "দুই", "তিন", "চার", "পাঁচ", "ছয়", "সাত", "আট", "নয়", "দশ"]
TALK = {
    "rows": "conversations",
    "sources": {
        "sums": {"kind": "files", "register": "sums", "paths": ["sums.jsonl"], "licence": "CC0-1.0"},
        "pairs": {
            "kind": "files",
            "register": "sums",
            "paths": ["pairs.csv"],
            "fields": {"prompt": "question", "answer": "reply"},
        },
    },
    "splits": {"validation": 0.15, "test": 0.25},
}
CHAT = {"task": "instruct", "base": "adapt", "training": {**TRAINING, "context": 160}}


def question(first: int, second: int) -> str:
    return f"{NUMBERS[first]} আর {NUMBERS[second]} যোগ করলে কত হয়, তা বাংলায় বলো।"


def answer(first: int, second: int) -> str:
    return f"{NUMBERS[first]} আর {NUMBERS[second]} যোগ করলে হয় {first + second + 2}।"


@pytest.fixture
def with_talk(finished_copy: Project) -> Project:
    """The finished workflow, and conversations that nothing reads yet: 54 questions, one of them asked twice."""
    rows = []
    for first in range(9):
        for second in range(first, 9):
            messages = [
                {"role": "user", "content": question(first, second)},
                {"role": "assistant", "content": answer(first, second)},
            ]
            rows.append({"messages": messages})
    polite = [{**message, "content": message["content"] + " ধন্যবাদ, ভালো থেকো।"} for message in rows[3]["messages"]]
    rows.append({"messages": [rows[3]["messages"][0], polite[1]]})
    rows.append({"messages": rows[4]["messages"][:1]})
    rows.append({"messages": [*rows[5]["messages"], *rows[6]["messages"] * 8]})
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (finished_copy / "sums.jsonl").write_text(text, encoding="utf-8")
    with open(finished_copy / "pairs.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["question", "reply"])
        writer.writerows([question(9, second), answer(9, second)] for second in range(9))
    return finished_copy


@pytest.mark.slow
def test_a_run_learns_to_answer(with_talk):
    with with_talk.changed() as section:
        section["datasets"]["talk"] = TALK
        section["runs"]["chat"] = CHAT
        section["datasets"]["talk"]["cleaning"] = {"duplicate_threshold": 1.0, "max_repeated_lines": 1.0}
    jobs = with_talk.run(RESULTS / "ppl.txt").jobs
    data = {"collect": 2, "clean": 2, "merge": 1, "split": 1}
    shared = {"choose_base": 1, "tokenise_run": 1, "train_run": 1, "curves": 1, "ppl": 1}
    own = {"count_answers": 1, "score_answers": 2, "replies": 1, "evaluate_instruct": 1}
    assert jobs == data | shared | own

    talk, run = RESULTS / "data/talk", RESULTS / "runs/chat"
    dropped = with_talk.rows(talk / "sources/sums.dropped.jsonl")
    assert [(row["row"], row["reason"]) for row in dropped] == [(47, "no answer")]
    splits = {split: with_talk.rows(talk / f"{split}.jsonl") for split in ("train", "validation", "test")}
    assert {row["register"] for rows in splits.values() for row in rows} == {"sums"}
    asked = {split: {row["messages"][0]["content"] for row in rows} for split, rows in splits.items()}
    assert asked["test"] and not asked["test"] & (asked["train"] | asked["validation"])

    with open(with_talk / RESULTS / "metrics.tsv", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle, delimiter="\t") if row["run"] == "chat"]
    bits = {row["role"]: float(row["value"]) for row in rows if row["metric"] == "bits_per_byte"}
    assert bits["adapted"] < bits["base"]
    long = [split for split, some in splits.items() if any(len(row["messages"]) > 2 for row in some)]
    outcome = with_talk.json(run / "meta.json")["outcome"]
    assert outcome.get("left_out", {}) == (
        {split: int(split in long) for split in ("train", "validation")} if long != ["test"] else {}
    )
    text = (with_talk / RESULTS / "ppl.txt").read_text(encoding="utf-8")
    assert "Answers: project bangla, run chat of adapt" in text and "Replies: runs/chat/page.html" in text
    page = (with_talk / run / "page.html").read_text(encoding="utf-8")
    assert sum(question in page for question in asked["test"]) == min(8, len(asked["test"]))
    assert "[assistant]" in (with_talk / run / "adapter/chat_template.jinja").read_text(encoding="utf-8")
    assert with_talk.plan().jobs == {}
