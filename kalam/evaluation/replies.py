"""Held-out questions answered by the base and by the instructed model, side by side on a page."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from kalam.data.selection import by_digest
from kalam.evaluation.html_page import html_page
from kalam.text.chat_template import encode_question, ends_of_answers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

# A model may need more words than the person did.
ROOM = 2
LEAST = 16  # tokens


def page(
    title: str,
    language: str,
    load: "Mapping[str, Callable[[], torch.nn.Module]]",
    tokenizer: "PreTrainedTokenizerFast",
    rows: Mapping[str, Iterable[dict[str, Any]]],
    count: int,
) -> str:
    """The page of an instruct run: the last question of `count` conversations of `rows["test"]`, chosen by digest,
    answered by what `load` loads as `base` and as `adapted`."""
    chosen = islice(by_digest(rows["test"]), count)
    found = [{"said": row["messages"][:-1], "answer": row["messages"][-1]["content"]} for row in chosen]
    for role in ("base", "adapted"):
        model = load[role]()
        for row in found:
            row[role] = reply(model, tokenizer, row["said"], ROOM * len(tokenizer(row["answer"])["input_ids"]))
    note = (
        "Questions of conversations that no model has seen, answered with the likeliest token each time, up to twice "
        "the length of the person's answer. A picture of what was learnt, not a measure of it."
    )
    return html_page(title, language, note, "\n".join(map(_section, found)), columns=3)


def reply(
    model: "torch.nn.Module", tokenizer: "PreTrainedTokenizerFast", said: Sequence[dict[str, str]], most: int
) -> str:
    """The model's answer to what was said, by greedy decoding, in at most so many tokens (and in 16 at least)."""
    import torch

    inputs = torch.tensor([encode_question(tokenizer, said)], device=next(model.parameters()).device)
    with torch.inference_mode():
        output = model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=max(LEAST, most),
            do_sample=False,
            eos_token_id=ends_of_answers(tokenizer, said),
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
    answer = output[0, inputs.shape[1] :]
    return tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()


def _section(row: Mapping[str, Any]) -> str:
    said = "\n\n".join(message["content"] for message in row["said"])
    columns = [("base", row["base"]), ("instructed", row["adapted"]), ("person", row["answer"])]
    cells = "".join(
        f'<div><h2 dir="ltr" lang="en">{name}</h2><div class="text"><b>{html.escape(said)}</b>\n\n'
        f"{html.escape(text)}</div></div>"
        for name, text in columns
    )
    return f"<section>{cells}</section>"
