"""Held-out answers under a model that was asked, beside what counting characters alone would say."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.data.selection import Stream, parts_in, rows_of
from kalam.evaluation.bits import identity, text_size
from kalam.evaluation.ngram import choose_orders, rows_by_part
from kalam.files.errors import InputError
from kalam.files.jsonl import write_jsonl
from kalam.models.positions import positions_of
from kalam.text.batches import CHUNK, batches
from kalam.text.chat_template import encode_conversation

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

TOO_LONG = "longer than the model's positions"


def answer_text(row: Mapping[str, Any]) -> str:
    """All answers of a conversation, a blank line between two."""
    return "\n\n".join(message["content"] for message in row["messages"] if message["role"] == "assistant")


def score(
    model: "torch.nn.Module", tokenizer: "PreTrainedTokenizerFast", rows: Iterable[dict[str, Any]], batch: int
) -> Iterator[dict[str, Any]]:
    """One row per conversation: id, group, part, bytes, characters and words of its answers, tokens, nll (nats, summed
    over the answers' tokens and what ends each), correct (those that were the best guess), failure.

    As the conversations come: some of them are held, which share batches. One that is too long for the model has no
    nll but its failure. Raises InputError for one that the tokenizer's chat template refuses.
    """
    from tqdm import tqdm

    most = positions_of(model.config) or math.inf
    with tqdm(unit=" conversations", disable=None) as progress:
        for some in batches(rows, CHUNK, _length):
            encoded = [_encoded(tokenizer, row) for row in some]
            scored = [_unscored(row, *pair, most) for row, pair in zip(some, encoded, strict=True)]
            # Conversations of like length share a batch.
            work = sorted((i for i, row in enumerate(scored) if not row["failure"]), key=lambda i: -len(encoded[i][0]))
            for begin in range(0, len(work), batch):
                these = work[begin : begin + batch]
                for index, (losses, hits) in zip(these, _predict(model, [encoded[i] for i in these]), strict=True):
                    scored[index] |= {"nll": math.fsum(losses), "correct": sum(hits)}
                progress.update(len(these))
            yield from scored


def _length(row: Mapping[str, Any]) -> int:
    return sum(len(message["content"]) for message in row["messages"])


def _unscored(row: Mapping[str, Any], ids: Sequence[int], answer: Sequence[bool], most: float) -> dict[str, Any]:
    failure = TOO_LONG if len(ids) - 1 > most else None
    scored = {"tokens": sum(answer[1:]), "nll": None, "correct": 0, "failure": failure}
    return {**identity(row), **text_size(answer_text(row)), **scored}


def _encoded(tokenizer: "PreTrainedTokenizerFast", row: Mapping[str, Any]) -> tuple[list[int], list[bool]]:
    try:
        return encode_conversation(tokenizer, row["messages"])
    except InputError as error:
        raise InputError(f"conversation {row['id']}: {error}") from None


def _predict(
    model: "torch.nn.Module", some: Sequence[tuple[list[int], list[bool]]]
) -> list[tuple[list[float], list[bool]]]:
    """For each conversation the negative log-likelihood of each of its answers' tokens, and whether it was the best
    guess. Padding stands at the right, where a causal model never looks from an answer."""
    import torch

    from kalam.models.head import Head
    from kalam.text.tokens import IGNORED

    device, length = next(model.parameters()).device, max(len(ids) for ids, _ in some) - 1
    read = torch.zeros((len(some), length), dtype=torch.int64)
    labels = torch.full_like(read, IGNORED)
    for row, (ids, answer) in enumerate(some):
        tokens, marked = torch.tensor(ids), torch.tensor(answer)
        read[row, : len(ids) - 1] = tokens[:-1]
        labels[row, : len(ids) - 1] = torch.where(marked[1:], tokens[1:], IGNORED)
    with torch.inference_mode():
        losses, hits = Head(model).score({"input_ids": read.to(device), "use_cache": False}, labels.to(device))
    counts = (labels != IGNORED).sum(1).tolist()
    parts = losses.double().cpu().split(counts), hits.cpu().split(counts)
    return [(loss.tolist(), hit.tolist()) for loss, hit in zip(*parts, strict=True)]


def write_floor(
    rows: Mapping[str, str | Path], parts: Collection[str], orders: Sequence[int], output: str | Path
) -> None:
    """Count the characters of the answers in some parts of the training split, each part at the order that is best on
    its answers of validation, and write the score rows of the test split's answers under that floor: it reads no
    question."""
    known, tested = (parts_in(rows_of(rows[split])) for split in ("validation", "test"))
    validation = {part: _answers(rows["validation"], [part]) for part in known}
    models = choose_orders(_answers(rows["train"], parts), validation, tested, orders)
    documents = ({**row, "text": answer_text(row)} for row in rows_of(rows["test"]))
    write_jsonl(output, ({**row, "correct": 0} for row in rows_by_part(models, documents)))


def _answers(path: str | Path, parts: Collection[str]) -> Iterable[str]:
    rows = rows_of(path, parts)
    return Stream(lambda: map(answer_text, rows))
