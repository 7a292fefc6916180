"""Held-out sentences with a hidden word, filled by the floor, the base and the trained model, on a page."""

import html
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kalam.data.selection import by_digest
from kalam.evaluation.hidden_tokens import CountingFloor
from kalam.evaluation.html_page import html_page
from kalam.files.digests import digest_text
from kalam.text.tokens import encode_plain, prefix_token

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

GUESSES = 5
AROUND = 120  # characters shown on either side of the gap

Guesses = list[tuple[str, float]]


class Gap(NamedTuple):
    """A document with one hidden token: its ids, the place of the gap among them, and the text around it."""

    ids: list[int]
    place: int
    before: str
    truth: str
    after: str


def gaps(
    tokenizer: "PreTrainedTokenizerFast", documents: Iterable[dict[str, Any]], count: int, context: int
) -> list[Gap]:
    """One hidden token of each of `count` documents, chosen by digest, so the same for every model.

    Where a document has words of one token, it is one of these; else any token of two characters or more.
    """
    found = (_gap(tokenizer, document, context) for document in by_digest(documents))
    return list(islice((gap for gap in found if gap), count))


def _gap(tokenizer: "PreTrainedTokenizerFast", document: dict[str, Any], context: int) -> Gap | None:
    text = document["text"]
    encoded = encode_plain(tokenizer, text, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"][: context - 2], encoded["offset_mapping"]
    words = encoded.word_ids()
    alone = {word for word, count in Counter(words).items() if count == 1}
    allowed = [i for i, (a, b) in enumerate(offsets[: len(ids)]) if any(c.isalpha() for c in text[a:b]) and b - a > 1]
    places = [i for i in allowed if words[i] in alone] or allowed
    if not places:
        return None
    place = int(np.random.default_rng(int(digest_text(document["id"])[:12], 16)).choice(places))
    begin, end = offsets[place]
    after = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return Gap([prefix_token(tokenizer), *ids, *after], place + 1, text[:begin], text[begin:end], text[end:])


def guess(model: "torch.nn.Module", tokenizer: "PreTrainedTokenizerFast", gap: Gap) -> Guesses:
    """The likeliest tokens for the gap with their probabilities."""
    import torch

    ids = list(gap.ids)
    ids[gap.place] = tokenizer.mask_token_id
    with torch.inference_mode():
        tokens = torch.tensor([ids], device=next(model.parameters()).device)
        shares = model(input_ids=tokens).logits[0, gap.place].float().softmax(-1).topk(GUESSES)
    names = tokenizer.convert_ids_to_tokens(shares.indices.tolist())
    return list(zip(names, shares.values.tolist(), strict=True))


def page(
    title: str,
    language: str,
    load: "Mapping[str, Callable[[], torch.nn.Module]]",
    tokenizer: "PreTrainedTokenizerFast",
    rows: Mapping[str, Iterable[dict[str, Any]]],
    count: int,
    context: int,
) -> str:
    """The page of a masked run: gaps in `count` documents of `rows["test"]`, filled by the floor, which counts
    `rows["train"]`, and by what `load` loads as `base` and as `adapted`."""
    hidden = gaps(tokenizer, rows["test"], count, context)
    floor = CountingFloor(tokenizer, (document["text"] for document in rows["train"])).best(GUESSES)
    guesses = [{"floor": floor} for _ in hidden]
    for name, role in (("base", "base"), ("trained", "adapted")):
        model = load[role]()
        for gap, found in zip(hidden, guesses, strict=True):
            found[name] = guess(model, tokenizer, gap)
    return render(title, language, list(zip(hidden, guesses, strict=True)))


def render(title: str, language: str, rows: Sequence[tuple[Gap, dict[str, Guesses]]]) -> str:
    """The page; each row has a gap and the guesses of each system, all escaped here."""
    note = (
        f"One token of each held-out document is hidden; each column has its {GUESSES} likeliest fillings with their "
        "probabilities. A mark (▁) is the space before a word. The floor always says the most frequent tokens."
    )
    sections = "\n".join(_section(gap, guesses) for gap, guesses in rows)
    return html_page(title, language, note, sections, columns=1 + len(rows[0][1]) if rows else 1)


def _section(gap: Gap, guesses: dict[str, Guesses]) -> str:
    before, after = html.escape(gap.before[-AROUND:]), html.escape(gap.after[:AROUND])
    text = f'<h2 lang="en">held out</h2><div class="text">{before}<mark>{html.escape(gap.truth)}</mark>{after}</div>'
    columns = [f"<div>{text}</div>"]
    for system, filled in guesses.items():
        items = "".join(_item(token, share, gap.truth) for token, share in filled)
        columns.append(f'<div><h2 lang="en">{html.escape(system)}</h2><ol>{items}</ol></div>')
    return f"<section>{''.join(columns)}</section>"


def _item(token: str, share: float, truth: str) -> str:
    shown = f"{html.escape(token)} <small>{share:.3f}</small>"
    return f"<li>{f'<mark>{shown}</mark>' if token.lstrip('▁') == truth.strip() else shown}</li>"
