"""Rows of a dataset as the tokens that a task trains on."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kalam.data.selection import rows_of, weighted
from kalam.files.jsonl import WHOLE, Shard, read_json
from kalam.text.tokens import load_tokenizer
from kalam.training.learn_tokenizer import learn_tokenizer
from kalam.training.packing import TokenStream
from kalam.training.task import task_class

Files = Mapping[str, str | Path]  # by split


def tokenise_run(
    task: str,
    base: str | Path,
    rows: Files,
    parts: Collection[str],
    weights: Mapping[str, float],
    outputs: Files,
    shard: Shard = WHOLE,
) -> None:
    """Write some parts of each split, or of a shard of it, as the tokens of a run's base; `base` is its `base.json`.

    What `weights` say of a part is how often each of its rows is written.
    """
    tokenise(task, read_json(base)["folder"], rows, parts, outputs, shard, weights)


def tokenise_model(
    task: str, settings: dict[str, Any], rows: Files, parts: Collection[str], folder: Path, outputs: Files
) -> None:
    """Train a tokenizer as `learn_tokenizer` does, and write some parts of each split as its tokens."""
    learn_tokenizer(settings, rows["train"], folder)
    tokenise(task, folder, rows, parts, outputs)


def tokenise(
    task: str,
    folder: str | Path,
    rows: Files,
    parts: Collection[str],
    outputs: Files,
    shard: Shard = WHOLE,
    weights: Mapping[str, float] | None = None,
) -> None:
    """Write some parts of each split, or of a shard of it, as the tokens of the tokenizer in `folder`."""
    tokenizer, encode = load_tokenizer(folder), task_class(task).encode
    for split, output in outputs.items():
        some = weighted(rows_of(rows[split], parts, shard=shard), weights or {})
        TokenStream.write(output, encode(tokenizer, some))
