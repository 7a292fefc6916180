"""Log-likelihood of whole documents under a causal model, each token scored once.

Every model sees the same text and the same context, counted in bytes of text, not in its own
tokens; only so do their bits per byte compare.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kalam.evaluation.bits import identity, text_size
from kalam.files.errors import InputError
from kalam.text.batches import CHUNK, batches
from kalam.text.tokens import encode_places, prefix_token

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

    from kalam.models.scoring import Scorer


@dataclass(frozen=True)
class Window:
    """One forward pass over part of a document.

    tokens: the prefix token and the tokens in sight; scored: how many at the end are scored here.
    """

    document: int
    tokens: list[int]
    scored: int


def windows(
    document: int, tokens: Sequence[int], starts: Sequence[int], prefix: int, context: int, stride: int
) -> Iterator[Window]:
    """Windows of `context` bytes every `stride` bytes, which score each token exactly once.

    `starts` holds the byte of the text each token begins at, ascending. The first window scores
    all it sees, a later one what lies beyond the window before it, so a scored token has the whole
    beginning of the document or at least context - stride bytes to look back on (less what is left
    of a token that the window's beginning cuts) and never context or more. Each window opens with
    the prefix token, as a document does.
    """
    if not 0 < stride <= context:
        raise InputError(f"evaluation.stride: {stride}, allowed are 1 to the context, {context}")
    begin, first, scored_to = 0, 0, 0
    while scored_to < len(tokens):
        while first < len(tokens) and starts[first] < begin:
            first += 1
        end = scored_to
        while end < len(tokens) and starts[end] < begin + context:
            end += 1
        if end > scored_to:
            yield Window(document, [prefix, *tokens[first:end]], end - scored_to)
        begin, scored_to = begin + stride, end


def byte_starts(text: str, places: Sequence[int]) -> list[int]:
    """The byte each token begins at, from the character that it begins at."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    ends = np.cumsum(1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000))
    return np.concatenate(([0], ends))[np.asarray(places, dtype=np.int64)].tolist()


def encode(tokenizer: "PreTrainedTokenizerFast", text: str) -> tuple[list[int], list[int], str | None]:
    """Token ids, their first bytes, and why the figure would not be about this text, if so.

    A model that reads an unknown token or other text than it was given is easy to please.
    """
    ids, places = [], array("q")
    for number, place in encode_places(tokenizer, text):
        ids.append(number)
        places.append(place)
    failure = None
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        failure = "unknown token"
    elif tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text:
        failure = "lossy tokenizer"
    return ids, byte_starts(text, places), failure


def score(
    model: "torch.nn.Module",
    tokenizer: "PreTrainedTokenizerFast",
    documents: Iterable[dict[str, Any]],
    context: int,
    stride: int,
    batch: int,
) -> Iterator[dict[str, Any]]:
    """One row per document: id, group, part, bytes, characters, words, tokens, nll (nats, summed), failure.

    As the documents come: some of them are held, whose windows share batches. A document that the tokenizer does not
    keep has no nll but its failure. Raises InputError where a window is longer than the model's positions.
    """
    from tqdm import tqdm

    from kalam.models.scoring import Scorer

    scorer, prefix = Scorer(model), prefix_token(tokenizer)
    with tqdm(unit=" windows", disable=None) as progress:
        for some in batches(documents, CHUNK, lambda document: len(document["text"])):
            rows, work = [], []
            for index, document in enumerate(some):
                row, found = _cut(tokenizer, document, index, prefix, context, stride)
                rows.append(row)
                work += found
            # Windows of like length share a batch; with their tokens as the second key, in any order of documents.
            work.sort(key=lambda window: (-len(window.tokens), window.tokens))
            _require_positions(model, work, context)
            parts: dict[int, list[float]] = {}
            for begin in range(0, len(work), batch):
                these = work[begin : begin + batch]
                for window, nll in zip(these, _window_nll(scorer, these, prefix), strict=True):
                    parts.setdefault(window.document, []).append(nll)
                progress.update(len(these))
            for index, values in parts.items():
                rows[index]["nll"] = math.fsum(values)  # exact, so the order of the batches does not count
            yield from rows


def _cut(
    tokenizer: "PreTrainedTokenizerFast", document: dict[str, Any], index: int, prefix: int, context: int, stride: int
) -> tuple[dict[str, Any], list[Window]]:
    """A document's row before it is scored, and its windows."""
    text = document["text"]
    ids, starts, failure = encode(tokenizer, text)
    scored = {"tokens": len(ids), "nll": None if failure else 0.0, "failure": failure}
    found = [] if failure else list(windows(index, ids, starts, prefix, context, stride))
    return {**identity(document), **text_size(text), **scored}, found


def _window_nll(scorer: "Scorer", some: Sequence[Window], pad: int) -> list[float]:
    """Summed negative log-likelihood of each window's scored tokens. Padding stands at the right,
    where a causal model never looks from a scored position."""
    import torch

    from kalam.text.tokens import IGNORED

    device = next(scorer.model.parameters()).device
    length = max(len(window.tokens) for window in some)
    ids = torch.tensor([window.tokens + [pad] * (length - len(window.tokens)) for window in some])
    labels = torch.full_like(ids, IGNORED)
    for row, window in enumerate(some):
        end = len(window.tokens) - 1
        labels[row, end - window.scored : end] = ids[row, end - window.scored + 1 : end + 1]
    with torch.inference_mode():
        losses = scorer.losses({"input_ids": ids.to(device), "use_cache": False}, labels.to(device))
    return [float(part.sum()) for part in losses.double().cpu().split([window.scored for window in some])]


def _require_positions(model: "torch.nn.Module", work: Sequence[Window], context: int) -> None:
    most = getattr(model.config, "max_position_embeddings", None)
    if work and most and len(work[0].tokens) > most:
        raise InputError(
            f"evaluation.context: {context} bytes are up to {len(work[0].tokens)} tokens here, "
            f"the model has {most} positions"
        )
