"""Documents from what a source holds: texts, and rows of files and datasets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from kalam.data.fields import group_of, is_unicode, label_of, take
from kalam.files.errors import InputError

LABELS = ("title", "author", "licence", "url", "retrieved")


@dataclass(frozen=True)
class Item:
    """One thing a source holds: where it is, and a document or else the reason why it is none (`key: detail`)."""

    place: dict[str, Any]
    document: dict[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Source:
    """A source of the configuration, with what its documents have in common.

    `checks` are the fields of a row, each with what it may hold; `needed` those that no row can do without.
    """

    checks: ClassVar = {"text": lambda value: value, **dict.fromkeys(LABELS, label_of), "group": group_of}
    needed: ClassVar = ("text",)
    texts: ClassVar = True  # whether a file may be a text, not rows
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

    @cached_property
    def columns(self) -> dict[str, str]:
        """The column of each field that is taken from rows."""
        named = {field: self.settings["fields"].get(field, field) for field in self.checks}
        unused = () if self.settings.get("group_by", "field") == "field" else ("group",)
        return {field: column for field, column in named.items() if column is not None and field not in unused}

    @cached_property
    def required(self) -> list[str]:
        """The columns that must be there: those that are needed, and those that `fields` names."""
        named = [column for column in self.settings["fields"].values() if column is not None]
        return list(dict.fromkeys([*(self.columns[field] for field in self.needed), *named]))

    def row(self, row: Mapping[str, Any], place: dict[str, Any], file: str) -> Item:
        """What a row holds, by the column names in `fields`; `file` is the path or dataset it is in.

        Raises InputError naming file, row, column and type of what can be no group and no word about a text.
        """
        own = take(row, self.columns, self.checks, file, place["row"])
        text = own.pop("text")
        if text is not None and not isinstance(text, str):
            return Item(place, reason=f"text is not a string: {type(text).__name__}")
        if not (text or "").strip():
            return Item(place, reason=f"no text: column {self.columns['text']}")
        if not is_unicode(text):
            return Item(place, reason="text is not Unicode: half a surrogate pair")
        return Item(place, self.document(text, self.group_of_row(own.pop("group", None), place, file), **own))

    def group_of_row(self, named: str | None, place: Mapping[str, Any], file: str) -> str:
        """The group of a row within the source, by the setting `group_by`; `named` is what its own field says."""
        rules = {"file": file, "document": None, "field": named}
        return rules[self.settings.get("group_by", "field")] or f"{file}#{place['row']}"

    def check_fields(self) -> None:
        """Raises InputError for a key of `fields` that is no field, and for a needed one without a column."""
        fields = self.settings["fields"]
        for field in fields:
            if field not in self.checks:
                raise InputError(f"fields: {field!r} is no field of these rows; allowed are {', '.join(self.checks)}")
        for field in self.needed:
            if fields.get(field, field) is None:
                raise InputError(f"fields: {field}: found null; allowed is the name of a column")
