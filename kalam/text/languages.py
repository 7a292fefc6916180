"""The table of languages, `config/languages.yaml`: all that Kalam knows of a language is its row there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import regex
import yaml

from kalam.files.errors import InputError

TABLE = "config/languages.yaml"
ROOT = Path(__file__).resolve().parents[2]
LETTERS = regex.compile(r"[\p{L}\p{M}]+")

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Language:
    """A row; `language` in `config/schema.yaml` says what each column means."""

    name: str
    script: str
    direction: str
    ranges: Ranges
    digits: str
    sentence_ends: str
    sentences: tuple[str, ...]
    punctuation: str = ""
    joiners: Ranges = ()
    optional_marks: Ranges = ()
    normalise: Mapping[str, Any] = field(default_factory=dict)


def read_table() -> dict[str, dict[str, Any]]:
    """The rows as they stand in the file. Raises InputError for a file that is no YAML."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load((ROOT / TABLE).read_text(encoding="utf-8"), Loader=loader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{TABLE}: cannot be read: {' '.join(str(error).split())}") from None


@cache
def languages() -> dict[str, Language]:
    """The rows by the language's code, of a table that the schema of the configuration allows."""
    return {code: parse_row(row) for code, row in read_table().items()}


def parse_row(row: Mapping[str, Any]) -> Language:
    """A row as it stands in the table."""
    of_ranges = {name: parse_ranges(row[name]) for name in ("ranges", "joiners", "optional_marks") if name in row}
    steps = dict(sorted(row.get("normalise", {}).items()))  # in whatever order they stand there
    return Language(**{**row, **of_ranges, "normalise": steps, "sentences": tuple(row["sentences"])})


def parse_ranges(ranges: Iterable[str]) -> Ranges:
    """First and last code points of ranges like 0980-09FF."""
    return tuple((int(first, 16), int(last, 16)) for first, last in (each.split("-") for each in ranges))


def language_row(code: str) -> Language:
    """The row of a language. Raises InputError for one that has none."""
    if code not in languages():
        allowed = ", ".join(sorted(languages()))
        raise InputError(f"language: found {code}; allowed are {allowed}; a new one is a row in {TABLE}")
    return languages()[code]


def character_class(ranges: Ranges) -> str:
    """Ranges of code points as the inside of a regular expression's character class."""
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in ranges)


def script_fraction(text: str, language: str) -> float:
    """The share of the language's script among the letters and marks of a text, 0 where there are none."""
    letters = "".join(LETTERS.findall(text))
    own = sum(map(len, _in_script(language).findall(letters)))
    return own / len(letters) if letters else 0.0


@cache
def _in_script(language: str) -> regex.Pattern:
    return regex.compile(f"[{character_class(language_row(language).ranges)}]+")
