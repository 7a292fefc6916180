"""The tokenizer of a model made here, from the rows of its dataset."""

from pathlib import Path
from typing import Any

from kalam.data.selection import texts_of
from kalam.files.atomic import atomic_directory
from kalam.text.tokens import save_tokenizer, train_tokenizer


def learn_tokenizer(settings: dict[str, Any], rows: str | Path, folder: Path) -> None:
    """Train a tokenizer, by its `settings`, on all rows of a file, and leave it in `folder`."""
    with atomic_directory(folder) as temporary:
        save_tokenizer(train_tokenizer(texts_of(rows), **settings), temporary)
