"""Collecting: every source of the configuration as documents, with what was dropped and why."""

import heapq
import json
from collections.abc import Iterator
from contextlib import closing
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from kalam.corpus.conversations import ConversationSource
from kalam.corpus.emptied import put_aside
from kalam.corpus.items import Item, Source
from kalam.corpus.readers import READERS
from kalam.data.filtering import write_filtered
from kalam.files.digests import digest_value
from kalam.files.errors import InputError
from kalam.web.store import Store

SOURCES = {"documents": Source, "conversations": ConversationSource}  # by the kind of rows


def write_collected(
    source: dict[str, Any],
    name: str,
    rows: str,
    language: str,
    seed: int,
    root: str | Path,
    store: str | Path,
    documents: str | Path,
    dropped: str | Path,
    counts: str | Path,
    aside: str | Path | None = None,
) -> dict[str, Any]:
    """Collect a source into `documents`, `dropped` and `counts`, all atomic; returns the counts.

    `source` is its section of the configuration, `rows` the kind of its dataset's rows, `root` the folder its
    paths are relative to, `store` the folder in which a crawl keeps its pages. Where no document is left, what was
    dropped is put `aside`.

    Raises InputError as `collect` does, and where there is no document at all.
    """
    figures = write_filtered(collect(source, name, rows, language, seed, root, store), documents, dropped, counts)
    Store(store).finish()
    if not figures["kept"]:
        reasons = ", ".join(f"{reason} ({number})" for reason, number in figures["dropped"].items())
        see = f"; see {put_aside(dropped, aside)}" if aside and reasons else ""
        raise InputError(f"source {name}: no document; dropped: {reasons or 'nothing, it is empty'}{see}")
    return figures


def collect(
    source: dict[str, Any], name: str, rows: str, language: str, seed: int, root: str | Path, store: str | Path
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """The documents of a source, each with None, and the places without one, each with its reason.

    A document has every field but `id` and `script_fraction`. The group comes from the source and
    the place (URL, path, row) or a column, never from the text, so editing a text moves nothing.

    Raises InputError, beginning with the source's name, for what is wrong with the source.
    """
    most = source["max_records"]
    with closing(READERS[source["kind"]](SOURCES[rows](source, name, language), Path(root), Store(store))) as items:
        if most is not None:
            items = _sample(items, most, seed) if source["sampling"] == "random" else _first(items, most)
        try:
            for item in items:
                if item.document is not None:
                    yield item.document, None
                else:
                    reason, _, detail = item.reason.partition(": ")
                    yield {"source": name, **item.place}, {"reason": reason, **({"detail": detail} if detail else {})}
        except InputError as error:
            raise InputError(f"source {name}: {error}") from None


def _first(items: Iterator[Item], most: int) -> Iterator[Item]:
    for item in items:
        yield item
        most -= item.document is not None
        if not most:
            return


def _sample(items: Iterator[Item], most: int, seed: int) -> Iterator[Item]:
    """The documents whose places have the lowest digests: the same ones in whatever order they come.

    Those that are among them so far lie in a file, and only their digests are held.
    """
    chosen: list[tuple[int, int, int]] = []
    with TemporaryFile() as file:
        for number, item in enumerate(items):
            if item.document is None:
                yield item
                continue
            digest = -int(digest_value([seed, item.place]), 16)
            if len(chosen) == most and (digest, -number) < chosen[0][:2]:
                continue
            entry = digest, -number, file.seek(0, SEEK_END)
            file.write(json.dumps({"place": item.place, "document": item.document}).encode() + b"\n")
            if len(chosen) < most:
                heapq.heappush(chosen, entry)
            else:
                heapq.heapreplace(chosen, entry)
        for _, _, begin in sorted(chosen, key=lambda entry: -entry[1]):
            file.seek(begin)
            yield Item(**json.loads(file.readline()))
