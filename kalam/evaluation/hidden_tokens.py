"""Hidden tokens of held-out documents under a masked model, beside what counting alone would say."""

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kalam.data.selection import rows_of, texts_of
from kalam.evaluation.bits import identity, text_size
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_jsonl
from kalam.text.batches import CHUNK, batches
from kalam.text.tokens import encode_ids, load_tokenizer, prefix_token

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


TOKENS_AT_ONCE = 4096  # of short windows so many, as a pass over few tokens costs hardly less


class Hidden(NamedTuple):
    """One forward pass: the tokens of a window, the places in it that are hidden and predicted, and the row of scores
    that they belong to."""

    row: int
    tokens: list[int]
    places: np.ndarray


def hidden_windows(
    tokenizer: "PreTrainedTokenizerFast",
    document: dict[str, Any],
    index: int,
    context: int,
    parts: int,
    seed: int,
    draw: int = 1,
) -> Iterator[Hidden]:
    """Windows of `context` tokens, each `parts` times, so that every token of the text is hidden exactly once.

    A document is cut as training cuts it, with its first and last special tokens. Which tokens go
    together is drawn from the seed, the document's id and the number of the draw, so neither the order
    of the documents nor the batches decide it.
    """
    ids = encode_ids(tokenizer, document["text"])
    after = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokens = [prefix_token(tokenizer), *ids, *after]
    digest = int.from_bytes(hashlib.sha256(document["id"].encode()).digest()[:8], "big")
    random = np.random.default_rng([seed, digest, draw - 1])
    for begin in range(0, len(tokens), context):
        window = tokens[begin : begin + context]
        first, last = max(0, 1 - begin), min(len(window), 1 + len(ids) - begin)
        part = random.permutation(max(0, last - first)) % parts
        for number in range(min(parts, len(part))):
            yield Hidden(index, window, np.flatnonzero(part == number) + first)


def score(
    model: "torch.nn.Module",
    tokenizer: "PreTrainedTokenizerFast",
    documents: Iterable[dict[str, Any]],
    context: int,
    share: float,
    seed: int,
    batch: int,
    draws: int = 1,
) -> Iterator[dict[str, Any]]:
    """Rows of each document, one for each draw: id, group, part, draw (from 1), bytes, characters, words, tokens, nll
    (nats, summed), correct.

    As the documents come: some of them are held, whose windows share batches. In each draw every token is hidden once,
    a `share` of a window's tokens at a time: which are hidden together decides what a model sees of them. An unknown
    token is scored like any other, and `unknown` counts them: a model is not compared over another's tokens. A pass is
    over `batch` windows, over more where they are short.
    """
    from tqdm import tqdm

    batch = max(batch, TOKENS_AT_ONCE // context)
    with tqdm(unit=" windows", disable=None) as progress:
        for some in batches(documents, CHUNK, lambda document: len(document["text"]) * draws):
            rows, work = [], []
            for document, draw in product(some, range(1, draws + 1)):
                found = list(hidden_windows(tokenizer, document, len(rows), context, round(1 / share), seed, draw))
                tokens = [window.tokens[place] for window in found for place in window.places]
                rows.append(_row(document, tokens, tokenizer.unk_token_id, draw=draw))
                work += found
            work.sort(key=lambda window: (-len(window.tokens), window.tokens, window.places.tolist()))
            nll: dict[int, list[float]] = {}
            for begin in range(0, len(work), batch):
                these = work[begin : begin + batch]
                for window, losses, hits in zip(these, *_predict(model, tokenizer, these), strict=True):
                    nll.setdefault(window.row, []).extend(losses)
                    rows[window.row]["correct"] += hits
                progress.update(len(these))
            for index, values in nll.items():
                rows[index]["nll"] = math.fsum(values)
            yield from rows


def _row(document: dict[str, Any], tokens: Sequence[int], unknown: int | None, **draw: int) -> dict[str, Any]:
    return {
        **identity(document),
        **draw,
        **text_size(document["text"]),
        "tokens": len(tokens),
        "unknown": sum(token == unknown for token in tokens),
        "nll": 0.0,
        "correct": 0,
    }


def _predict(
    model: "torch.nn.Module", tokenizer: "PreTrainedTokenizerFast", some: Sequence[Hidden]
) -> tuple[list[list[float]], list[int]]:
    """For each window the negative log-likelihoods of its hidden tokens, and how many had the best guess right."""
    import torch

    from kalam.models.head import Head
    from kalam.text.tokens import IGNORED

    length = max(len(window.tokens) for window in some)
    ids = np.full((len(some), length), tokenizer.pad_token_id)
    there, labels = np.zeros((len(some), length), dtype=np.int64), np.full((len(some), length), IGNORED)
    for row, window in enumerate(some):
        ids[row, : len(window.tokens)], there[row, : len(window.tokens)] = window.tokens, 1
        labels[row, window.places] = ids[row, window.places]
        ids[row, window.places] = tokenizer.mask_token_id
    device = next(model.parameters()).device
    read, there, truth = (torch.tensor(array, device=device) for array in (ids, there, labels))
    with torch.inference_mode():
        losses, right = Head(model).score({"input_ids": read, "attention_mask": there}, truth)
    losses, right = losses.double().cpu().numpy(), right.cpu().numpy()
    borders = np.cumsum([len(window.places) for window in some])[:-1]
    return [part.tolist() for part in np.split(losses, borders)], [int(p.sum()) for p in np.split(right, borders)]


class CountingFloor:
    """What knows only how often each token stands in the training text, one added to every count."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]):
        self.tokenizer = tokenizer
        self.counts = np.ones(len(tokenizer))
        for text in texts:
            np.add.at(self.counts, encode_ids(tokenizer, text), 1)
        if self.counts.sum() == len(tokenizer):
            raise InputError("a floor needs training text to count")
        self.nll = -np.log(self.counts / self.counts.sum())

    def best(self, count: int) -> list[tuple[str, float]]:
        """The most frequent tokens with their shares."""
        chosen = np.argsort(-self.counts, kind="stable")[:count]
        return [(self.tokenizer.convert_ids_to_tokens(int(i)), float(np.exp(-self.nll[i]))) for i in chosen]

    def score(self, documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Rows as of `score`, as the documents come."""
        guess = int(self.counts.argmax())
        for document in documents:
            tokens = encode_ids(self.tokenizer, document["text"])
            row = _row(document, tokens, self.tokenizer.unk_token_id)
            yield row | {"nll": math.fsum(self.nll[tokens]), "correct": tokens.count(guess)}


def write_floor(
    base: str | Path,
    train: str | Path,
    parts: Collection[str],
    rows: Mapping[str, str | Path],
    outputs: Mapping[str, str | Path],
) -> None:
    """Count the tokens of some parts of the training split, and write the rows of held-out splits under that floor;
    `base` is the `base.json` that names the tokenizer."""
    floor = CountingFloor(load_tokenizer(read_json(base)["folder"]), texts_of(train, parts))
    for split, path in rows.items():
        write_jsonl(outputs[split], floor.score(rows_of(path)))
