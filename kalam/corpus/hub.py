"""Datasets of a hub, or of a local folder in its layout, row by row."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

from kalam.corpus.items import Item, Source
from kalam.data.fields import finite, require_columns
from kalam.files.errors import InputError


def load(settings: Mapping[str, Any], root: Path, **options: Any) -> Any:
    """A dataset, streamed: the split that `options` name, otherwise a mapping of all its splits.

    Raises InputError where it cannot be read.
    """
    from datasets import load_dataset

    name = settings["dataset"]
    where = str(root / name) if (root / name).is_dir() else name
    with _in_one_line(settings):
        return load_dataset(where, settings["subset"], revision=settings["revision"], streaming=True, **options)


def items_of(source: Source, dataset: Iterable[dict[str, Any]], name: str) -> Iterator[Item]:
    """What the rows of a dataset hold; `name` is the dataset's, or its split's.

    Raises InputError as `load`, `require_columns` and `Source.row` do.
    """
    rows = iter(dataset)
    for number in count(1):
        with _in_one_line(source.settings):
            row = next(rows, None)
        if row is None:
            return
        if number == 1:
            with _in_one_line(source.settings):
                require_columns(source.required, chain([row], dataset), f"dataset: {name}")
        yield source.row(finite(row), {"dataset": name, "row": number}, name)


@contextmanager
def _in_one_line(settings: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the library and its clients raise some dozen kinds
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"dataset: {settings['dataset']} at {settings['revision']} cannot be read: {said}") from None
