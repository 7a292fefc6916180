"""Packed windows beside what others do with documents of many lengths: useful tokens a second.

python -m benchmarks.packing        (real texts in KALAM_DATA, else the sample texts)

Three ways through the same documents with the same model: packed windows; one document at a time;
batches of documents of like length, padded to the longest, with as many tokens (padding included) a
step as the packed ones have. A document longer than the context is cut into pieces of it. The ways
take turns on one core; each turn sees the same documents, and its time is the processor's. The loss per
token is beside the speed: a document that a window's border cuts loses context, and should not lose much.
"""

import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.loop_and_trainer import ARCHITECTURE
from benchmarks.workflow import ROOT, machine, write_result
from kalam.files.jsonl import read_jsonl
from kalam.models.head import cross_entropy
from kalam.models.scratch import initialise
from kalam.tasks.causal import Task
from kalam.text.tokens import IGNORED, encode_documents, train_tokenizer
from kalam.training.packing import TokenStream

CONTEXT, BATCH, ROUNDS, DOCUMENTS = 512, 8, 3, 160
BANGLA = ("majantali", "news_cc_by", "poems_publicdomain")
HEADLINES = ("news_headlines_2019",)


def texts(language: str = "bn", names: tuple[str, ...] = BANGLA, count: int = DOCUMENTS) -> tuple[str, list[str]]:
    """What is read, and a sample of its documents."""
    real = Path(os.environ.get("KALAM_DATA", ROOT.parent / "shared" / "data")) / "corpora" / language
    files = [real / name / "docs.jsonl" for name in names]
    found = [row["text"] for file in files if file.exists() for row in read_jsonl(file)]
    name = f"real texts: {language}, {', '.join(names)}"
    if not found:
        name, samples = f"sample texts: {language}", ROOT / "resources" / {"bn": "bangla", "ta": "tamil"}[language]
        found = [path.read_text(encoding="utf-8") for path in sorted(samples.rglob("*.txt"))]
    chosen = np.random.default_rng(0).permutation(len(found))[:count]
    return name, [found[i] for i in sorted(chosen)]


def packed(model, task: Task, documents: list[list[int]]):
    windows = task.examples(TokenStream.of(documents), CONTEXT)
    for begin in range(0, len(windows), BATCH):
        yield task.loss(model, task.collate([windows[i] for i in range(begin, min(begin + BATCH, len(windows)))], []))


def padded(model, pieces: list[list[int]]):
    length = max(map(len, pieces))
    ids = torch.zeros(len(pieces), length, dtype=torch.int64)
    there, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, piece in enumerate(pieces):
        ids[row, : len(piece)], there[row, : len(piece)] = torch.tensor(piece), 1
        labels[row, : len(piece) - 1] = ids[row, 1 : len(piece)]
    logits = model(input_ids=ids, attention_mask=there, use_cache=False).logits
    return cross_entropy(logits, labels), (labels != IGNORED).sum()


def one_by_one(model, _, documents: list[list[int]]):
    for piece in pieces(documents):
        yield padded(model, [piece])


def by_length(model, _, documents: list[list[int]]):
    batch: list[list[int]] = []
    for piece in sorted(pieces(documents), key=len):
        if batch and (len(batch) + 1) * len(piece) > BATCH * CONTEXT:
            yield padded(model, batch)
            batch = []
        batch.append(piece)
    yield padded(model, batch)


def pieces(documents: list[list[int]], context: int = CONTEXT) -> list[list[int]]:
    cut = [ids[begin : begin + context] for ids in documents for begin in range(0, len(ids), context)]
    return [piece for piece in cut if len(piece) > 1]


def turn(way, model, task: Task, documents: list[list[int]]) -> dict[str, float]:
    """Forward and backward over all documents, without an update, so that the losses compare."""
    started, nll, count = time.process_time(), 0.0, 0
    for total, labels in way(model, task, documents):
        (total / labels).backward()
        model.zero_grad()
        nll, count = nll + total.item(), count + int(labels)
    return {"tokens_per_second": count / (time.process_time() - started), "loss": nll / count, "tokens": count}


def compare(sample: list[str]) -> dict[str, object]:
    """The ways through a sample of documents."""
    tokenizer = train_tokenizer(sample, 2000)
    documents = list(encode_documents(tokenizer, sample))
    model, task = initialise(ARCHITECTURE, tokenizer, 0), Task(tokenizer)
    ways = {"packed": packed, "one by one": one_by_one, "by length": by_length}
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(ROUNDS + 1):
        for way, function in ways.items():
            result = turn(function, model, task, documents)
            if number:  # the first round warms up
                turns[way].append(result)
    ratios = {
        way: [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(turns["packed"], some, strict=True)]
        for way, some in turns.items()
    }
    windows = task.examples(TokenStream.of(documents), CONTEXT)
    lengths = np.array([len(ids) for ids in documents])
    return {
        "documents": len(documents),
        "length_quantiles": {q: int(np.quantile(lengths, q)) for q in (0.1, 0.5, 0.9)},
        "padding_when_packed": round(1 - len(windows.tokens) / (len(windows) * CONTEXT), 4),
        "ways": {
            way: {
                "tokens_per_second": round(statistics.median(r["tokens_per_second"] for r in some)),
                "loss": round(some[0]["loss"], 4),
                "tokens": some[0]["tokens"],
                "packed_is_faster": [round(ratio, 2) for ratio in sorted(ratios[way])],
            }
            for way, some in turns.items()
        },
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    samples = dict([texts(), texts("ta", HEADLINES, 5 * DOCUMENTS)])
    write_result(
        "packing",
        {
            "machine": machine(),
            "context": CONTEXT,
            "windows_a_step": BATCH,
            "texts": {name: compare(sample) for name, sample in samples.items()},
        },
    )
