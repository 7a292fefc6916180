"""Rows of a dataset as the tokens that a task trains on."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kalam.data.selection import texts_of
from kalam.files.atomic import atomic_directory
from kalam.files.jsonl import read_json
from kalam.text.tokens import load_tokenizer, save_tokenizer, train_tokenizer
from kalam.training.task import task_class

Files = Mapping[str, str | Path]  # by split


def tokenise_run(task: str, base: str | Path, rows: Files, parts: Collection[str], outputs: Files) -> None:
    """Write some parts of each split as the tokens of a run's base; `base` is its `base.json`."""
    _write(task, read_json(base)["folder"], rows, parts, outputs)


def tokenise_model(
    task: str, settings: dict[str, Any], rows: Files, parts: Collection[str], folder: Path, outputs: Files
) -> None:
    """Train a tokenizer, by its `settings`, on the whole training split, leave it in `folder`, and write some parts
    of each split as its tokens."""
    with atomic_directory(folder) as temporary:
        save_tokenizer(train_tokenizer(texts_of(rows["train"]), **settings), temporary)
    _write(task, folder, rows, parts, outputs)


def _write(task: str, folder: str | Path, rows: Files, parts: Collection[str], outputs: Files) -> None:
    tokenizer, encode = load_tokenizer(folder), task_class(task).encode
    for split, output in outputs.items():
        encode(tokenizer, texts_of(rows[split], parts)).save(output)
