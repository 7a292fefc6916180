"""What a crawl has fetched, a file per URL, so that a killed crawl goes on and a later one asks only for changes."""

import uuid
from pathlib import Path
from typing import Any

from kalam.files.digests import digest_text
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json

Record = dict[str, Any]


class Store:
    """A folder of records by URL. Each bears the crawl that wrote it.

    A marker names the crawl that is under way and is removed at its end. Where it is found, that
    crawl is taken up again and its records stand; otherwise all records are of earlier crawls and
    serve to ask the server whether anything changed.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = self.folder / "unfinished.json"
        self.crawl = ""

    def begin(self, served: str = "") -> None:
        """Take up the unfinished crawl, or begin one; also where the digest of the `served` folder is another."""
        marker = _read(self.marker)
        if marker is None or marker["served"] != served:
            marker = {"crawl": uuid.uuid4().hex, "served": served}
            write_json(self.marker, marker)
        self.crawl = marker["crawl"]

    def finish(self) -> None:
        """End the crawl."""
        self.marker.unlink(missing_ok=True)

    def get(self, url: str) -> Record | None:
        """The record of a URL, of whatever crawl."""
        return _read(self._path(url))

    def is_current(self, record: Record | None) -> bool:
        """Whether a record is of this crawl."""
        return record is not None and record["crawl"] == self.crawl

    def put(self, url: str, record: Record) -> Record:
        """Keep a record of this crawl, on the disk when this returns."""
        record = {**record, "crawl": self.crawl}
        write_json(self._path(url), record)
        return record

    def _path(self, url: str) -> Path:
        digest = digest_text(url, 40)
        return self.folder / "pages" / digest[:2] / f"{digest}.json"


def _read(path: Path) -> Record | None:
    try:
        return read_json(path)
    except (FileNotFoundError, InputError):  # never written, or not by this class
        return None
