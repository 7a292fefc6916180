"""SHA-256 digests of texts, values and files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def digest_text(text: str, length: int = 16) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of the UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:length]


def digest_value(value: Any, length: int = 16) -> str:
    """The digest of a JSON value; the order of keys does not count."""
    return digest_text(json.dumps(value, ensure_ascii=False, sort_keys=True), length)


def digest_file(path: str | Path) -> str:
    """The whole SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_folder(folder: str | Path, names: Iterable[str] | None = None) -> str:
    """The SHA-256 over relative names and contents of a folder's files (all, or the named ones)."""
    folder = Path(folder)
    found = names if names is not None else (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(f"{name}\0{digest_file(folder / name)}\n".encode())
    return total.hexdigest()
