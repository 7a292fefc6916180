"""Documents from what a source holds: texts, and rows of JSONL files and datasets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kalam.files.errors import InputError

COLUMNS = ("text", "title", "author", "licence", "url", "retrieved", "group")


@dataclass(frozen=True)
class Item:
    """One thing a source holds: where it is, and a document or else the reason why it is none (`key: detail`)."""

    place: dict[str, Any]
    document: dict[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Source:
    """A source of the configuration, with what its documents have in common."""

    settings: Mapping[str, Any]
    name: str
    language: str

    def document(self, text: str, group: str, **own: str | None) -> dict[str, Any]:
        """A document without `id` and `script_fraction`, which cleaning gives it; what it has of its own wins."""
        settings = self.settings
        return {
            "text": text,
            "source": self.name,
            "register": settings["register"],
            "url": own.get("url"),
            "title": own.get("title"),
            "author": own.get("author") or settings["author"],
            "licence": own.get("licence") or settings["licence"],
            "retrieved": own.get("retrieved") or settings["retrieved"],
            "language": self.language,
            "group": f"{self.name}/{group}",
        }

    def row(self, row: Mapping[str, Any], place: dict[str, Any], file: str) -> Item:
        """What a row holds, by the column names in `fields`; `file` is the path or dataset it is in."""
        fields = {field: self.settings["fields"].get(field, field) for field in COLUMNS}
        own = {field: _as_text(row.get(column)) for field, column in fields.items()}
        text = row.get(fields["text"])
        if text is not None and not isinstance(text, str):
            return Item(place, reason=f"text is not a string: {type(text).__name__}")
        if not (text or "").strip():
            return Item(place, reason=f"no text: column {fields['text']}")
        if not _is_unicode(text):
            return Item(place, reason="text is not Unicode: half a surrogate pair")
        rules = {"file": file, "document": None, "field": own["group"]}
        group = rules[self.settings.get("group_by", "field")] or f"{file}#{place['row']}"
        return Item(place, self.document(text, group, **{k: own[k] for k in COLUMNS if k not in ("text", "group")}))


def check_fields(fields: Mapping[str, str]) -> None:
    """Raises InputError for a key that is no field of a document."""
    for field in fields:
        if field not in COLUMNS:
            raise InputError(f"fields: {field!r} is no field of a document; allowed are {', '.join(COLUMNS)}")


def _as_text(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) and _is_unicode(value) else None


def _is_unicode(text: str) -> bool:
    return text.isprintable() or not any("\ud800" <= character <= "\udfff" for character in text)
