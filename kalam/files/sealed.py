"""JSON documents that carry the digest of what they say, so that a damaged one is known."""

from pathlib import Path
from typing import Any

from kalam.files.digests import digest_value
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json

SEAL = "seal"


def write_sealed(path: str | Path, value: dict[str, Any]) -> None:
    """Write a JSON object, atomically, with its digest."""
    write_json(path, {**value, SEAL: digest_value(value)})


def read_sealed(path: str | Path) -> dict[str, Any]:
    """A JSON object without its digest. Raises InputError where it does not hold or is not there."""
    value = read_json(path)
    if not isinstance(value, dict) or value.pop(SEAL, None) != digest_value(value):
        raise InputError(f"{path}: its digest is not the one written in it")
    return value
