"""Held-out openings continued by the base and by the adapted model, side by side on a page."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from kalam.data.selection import by_digest
from kalam.evaluation.html_page import html_page
from kalam.text.tokens import encode_plain, prefix_token

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

OPENING = 0.25  # of a document's lines, or of its words where it is one line
LENGTH = 300  # characters that are continued at most
TEMPERATURE, TOP_P = 0.8, 0.95


def page(
    title: str,
    language: str,
    load: "Mapping[str, Callable[[], torch.nn.Module]]",
    tokenizer: "PreTrainedTokenizerFast",
    rows: Mapping[str, Iterable[dict[str, Any]]],
    count: int,
    seed: int,
) -> str:
    """The page of a causal run: openings of `count` documents of `rows["test"]`, continued by what `load` loads as
    `base` and as `adapted`."""
    found = [{"opening": opening, "text": rest[:LENGTH]} for opening, rest in openings(rows["test"], count)]
    for role in ("base", "adapted"):
        model = load[role]()
        for number, row in enumerate(found, start=seed):
            row[role] = continue_text(model, tokenizer, row["opening"], len(row["text"]), number)
    return render(title, language, found)


def openings(documents: Iterable[dict[str, Any]], count: int) -> list[tuple[str, str]]:
    """The opening and the rest of `count` documents, chosen by digest, so the same for every model."""
    return [_cut(document["text"]) for document in islice(by_digest(documents), count)]


def continue_text(
    model: "torch.nn.Module",
    tokenizer: "PreTrainedTokenizerFast",
    opening: str,
    length: int,
    seed: int,
) -> str:
    """`length` characters or fewer that the model puts after an opening, by seeded nucleus sampling."""
    import torch

    torch.manual_seed(seed)
    ids = [prefix_token(tokenizer), *encode_plain(tokenizer, opening)["input_ids"]]
    inputs = torch.tensor([ids], device=next(model.parameters()).device)
    per_character = len(ids) / max(1, len(opening))
    output = model.generate(
        input_ids=inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=max(8, int(length * per_character)),
        do_sample=True,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
    )
    return tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def render(title: str, language: str, rows: Sequence[dict[str, str]]) -> str:
    """The page; each row has opening, text (what the author wrote), base and adapted, all escaped here."""
    sections = "\n".join(_section(row) for row in rows)
    note = (
        f"Openings of documents that no model has seen; each model goes on by sampling at temperature {TEMPERATURE:g} "
        f"(top-p {TOP_P:g}) with the same seed. A picture of what was learnt, not a measure of it."
    )
    return html_page(title, language, note, sections, columns=3)


def _section(row: dict[str, str]) -> str:
    columns = [("base", row["base"]), ("adapted", row["adapted"]), ("author", row["text"])]
    cells = "".join(
        f'<div><h2 dir="ltr" lang="en">{name}</h2><div class="text"><b>{html.escape(row["opening"])}</b>'
        f"{html.escape(text)}</div></div>"
        for name, text in columns
    )
    return f"<section>{cells}</section>"


def _cut(text: str) -> tuple[str, str]:
    unit = "\n" if text.count("\n") > 3 else " "
    parts = text.split(unit)
    at = len(unit.join(parts[: max(1, round(OPENING * len(parts)))]))
    return text[:at], text[at:]
