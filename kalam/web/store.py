"""What a crawl has fetched, kept so that a killed crawl goes on and a later one asks only for changes."""

import hashlib
import logging
import uuid
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_write
from kalam.files.claim import require_claim
from kalam.files.digests import digest_file, digest_text
from kalam.files.errors import InputError
from kalam.files.sealed import read_sealed, write_sealed

log = logging.getLogger(__name__)

Record = dict[str, Any]


class Store:
    """A folder of records by URL, and of the bodies that records name by their SHA-256.

    Equal bodies are one file. A record is made with the digest that `put_body` gives, so a body is
    always on the disk before a record that names it.

    A record bears the crawl that wrote it, and a marker names the crawl that is under way; it is
    removed at the end of the crawl. Where it is found, that crawl is resumed and its records stand;
    otherwise all records are of earlier crawls and serve to ask the server whether anything changed.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = self.folder / "unfinished.json"
        self.crawl = ""

    def begin(self, served: str = "") -> None:
        """Resume the unfinished crawl, if there is one and `served` (a digest of what is crawled) is the same for it;
        otherwise begin another."""
        marker = _read(self.marker)
        if marker is None or marker["served"] != served:
            marker = {"crawl": uuid.uuid4().hex, "served": served}
            write_sealed(self.marker, marker)
        self.crawl = marker["crawl"]

    def finish(self) -> None:
        """End the crawl, and remove the bodies that no record names.

        The marker goes last: a crawl that is killed in here is resumed, and every body it needs has a record.
        """
        require_claim(self.marker)
        records = map(_read, self.folder.glob("pages/*/*.json"))
        named = {record["sha256"] for record in records if record and "sha256" in record}
        for body in list(self.folder.glob("bodies/*/*")):  # temporary files that kills left are among them
            if body.name not in named:
                body.unlink()
        self.marker.unlink(missing_ok=True)

    def get(self, url: str) -> Record | None:
        """The record of a URL, of whatever crawl; None as well where its body is missing or damaged."""
        record = _read(self._record_path(url))
        if record is None or "failed" in record:
            return record
        if "sha256" in record and self._is_whole(record["sha256"]):
            return record
        log.warning("fetched again, as its body is missing or damaged: %s", url)
        return None

    def is_current(self, record: Record | None) -> bool:
        """Whether a record is of this crawl."""
        return record is not None and record["crawl"] == self.crawl

    def put(self, url: str, record: Record) -> Record:
        """Keep a record of this crawl, on the disk when this returns; gives it as it was kept."""
        record = {**record, "crawl": self.crawl}
        write_sealed(self._record_path(url), record)
        return record

    def put_body(self, body: bytes) -> str:
        """Keep a body, on the disk when this returns; gives its SHA-256."""
        sha256 = hashlib.sha256(body).hexdigest()
        if not self._is_whole(sha256):
            with atomic_write(self.body_path(sha256), "wb") as handle:
                handle.write(body)
        return sha256

    def body_path(self, sha256: str) -> Path:
        """The file of a body; it stays until a crawl finishes without a record that names it."""
        return self.folder / "bodies" / sha256[:2] / sha256

    def _is_whole(self, sha256: str) -> bool:
        try:
            return digest_file(self.body_path(sha256)) == sha256
        except OSError:  # missing, or unreadable, which is no better
            return False

    def _record_path(self, url: str) -> Path:
        digest = digest_text(url, 40)
        return self.folder / "pages" / digest[:2] / f"{digest}.json"


def _read(path: Path) -> Record | None:
    try:
        return read_sealed(path)
    except FileNotFoundError:
        return None
    except InputError as error:
        log.warning("passed over, as if it had never been there: %s", error)
        return None
