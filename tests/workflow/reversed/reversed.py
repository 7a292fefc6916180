"""Reversed modelling: predict each character of a document from the ones that come after it."""

from typing import Any

from kalam.evaluation import perplexity
from kalam.evaluation.bits import estimates
from kalam.evaluation.metrics import metric_row
from kalam.evaluation.run_files import Evaluation
from kalam.tasks import causal


def turned(text: str, words: bool = False) -> str:
    return " ".join(reversed(text.split(" "))) if words else text[::-1]


class Task(causal.Task):
    def __init__(self, tokenizer, words: bool = False):
        super().__init__(tokenizer)

    @staticmethod
    def encode(tokenizer, rows):
        return causal.Task.encode(tokenizer, [{**row, "text": turned(row["text"])} for row in rows])


def score(model, tokenizer, documents: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    turned_around = [{**document, "text": turned(document["text"])} for document in documents]
    return perplexity.score(model, tokenizer, turned_around, **settings)


def evaluate(about, base, systems, digests, resamples, seed) -> Evaluation:
    metrics = []
    for system in systems:
        for part, digest in digests[system.split].items():
            rows = [row for row in system.rows if row["part"] == part]
            place = {"project": about["project"], "run": about["run"], "split": system.split, "part": part}
            figure = estimates(rows, resamples, seed)["bits_per_byte"]
            name = {"system": system.name, "role": system.role, "context": None, "text_sha256": digest}
            metrics.append(metric_row(figure, "reversed_bits_per_byte", **name, **place))
    return Evaluation(systems, metrics, f"Reversed: run {about['run']} of {base['model']}\n")


def page(title, language, load, tokenizer, rows, **_) -> str:
    return f"<!DOCTYPE html><title>{title}</title><p lang={language}>{turned(next(iter(rows['test']))['text'])}"
