"""Train, validation and test, by group: as a source has them, otherwise register by register."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.data.filtering import Document, Reason
from kalam.data.holdout import held_out_groups
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_json, write_jsonl

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")  # each stricter than the one before: a group is in the strictest of its splits


def split_files(
    merged: str | Path,
    outputs: Mapping[str, str | Path],
    settings: dict[str, Any],
    seed: int,
    dropped: str | Path,
    counts: str | Path,
) -> dict[str, Any]:
    """Write the splits of a merged file to `outputs`, a path for each of train, validation and test.

    `dropped` gets what `split` drops, each row with its reason, `counts` {read, kept, dropped: {reason: n}}.
    Holds all documents in memory. Returns the counts.
    """
    documents = list(read_jsonl(merged))
    parts, leaks = split(documents, settings, seed)
    sizes = {name: write_jsonl(outputs[name], parts[name]) for name in SPLITS}
    number = write_jsonl(dropped, ({**document, **reason} for document, reason in leaks))
    figures = {"read": len(documents), "kept": sum(sizes.values()), "dropped": {"leak": number} if number else {}}
    if figures["kept"] + number != figures["read"]:
        raise RuntimeError(f"{merged}: {len(documents)} documents read, but {sizes} kept and {number} dropped")
    write_json(counts, figures)
    logger.info("split %s documents: %s, dropped %s", len(documents), sizes, figures["dropped"])
    return figures


def split(
    documents: Sequence[Document], settings: dict[str, Any], seed: int
) -> tuple[dict[str, list[Document]], list[tuple[Document, Reason]]]:
    """The documents of `train`, `validation` and `test`, and those dropped, all in the order of the input.

    A document with a `split` of its own goes there (the file then says which, so the field ends
    here); the groups of the others are held out as `held_out_groups` says. No group is in two
    splits: one that has documents in several stays in the strictest (test, then validation). Its
    others, and those without a split of their own, are dropped as leak, with the split `held_out`.

    Raises InputError as `held_out_groups` does, and naming a register without a document in some split.
    """
    given: dict[str, str] = {}
    for document in documents:
        if "split" in document:
            name = document["group"]
            given[name] = max(given.get(name, "train"), document["split"], key=SPLITS.index)
    others = [document for document in documents if document["group"] not in given]
    held_out = held_out_groups(others, settings, seed)
    parts: dict[str, list[Document]] = {name: [] for name in SPLITS}
    leaks = []
    for document in documents:
        group = document["group"]
        place = given.get(group) or held_out.get(group, "train")
        if group in given and document.get("split", "train") != place:
            leaks.append((document, {"reason": "leak", "held_out": place}))
        else:
            parts[place].append({key: value for key, value in document.items() if key != "split"})
    _require_every_split({document["register"] for document in documents}, parts)
    return parts, leaks


def _require_every_split(registers: set[str], parts: Mapping[str, Sequence[Document]]) -> None:
    for name in SPLITS:
        for register in sorted(registers - {document["register"] for document in parts[name]}):
            raise InputError(
                f"register {register}: no document found for {name}; each split needs one whose group is in no other"
            )
