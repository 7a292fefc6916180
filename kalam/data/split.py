"""Train, validation and test, by group: as a source has them, otherwise a share of each source."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.data.filtering import Document, Reason
from kalam.data.placement import SPLITS, Placement, stage
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_json, write_jsonl

logger = logging.getLogger(__name__)


def split_files(
    merged: str | Path,
    joins: str | Path,
    outputs: Mapping[str, str | Path],
    sources: Sequence[str],
    registers: Sequence[str],
    settings: dict[str, Any],
    seed: int,
    dropped: str | Path,
    counts: str | Path,
) -> dict[str, Any]:
    """Write the splits of a merged file with its joins to `outputs`, a path for each of train, validation and test.

    `sources` are the names of the dataset's sources in their order, `registers` those that they have. `dropped` gets
    what `split` drops, each row with its reason, `counts` {read, kept, dropped: {reason: n}}.
    Holds all documents in memory. Returns the counts. Raises InputError as `split` does, and naming a register of
    which no document is left.
    """
    documents = list(read_jsonl(merged))
    for register in registers:
        if not any(document["register"] == register for document in documents):
            raise InputError(
                f"register {register}: no document is left; what was dropped, and why, lies beside {merged}"
            )
    parts, leaks = split(documents, list(read_jsonl(joins)), sources, settings, seed)
    sizes = {name: write_jsonl(outputs[name], parts[name]) for name in SPLITS}
    number = write_jsonl(dropped, ({**document, **reason} for document, reason in leaks))
    figures = {"read": len(documents), "kept": sum(sizes.values()), "dropped": {"leak": number} if number else {}}
    if figures["kept"] + number != figures["read"]:
        raise RuntimeError(f"{merged}: {len(documents)} documents read, but {sizes} kept and {number} dropped")
    write_json(counts, figures)
    logger.info("split %s documents: %s, dropped %s", len(documents), sizes, figures["dropped"])
    return figures


def split(
    documents: Sequence[Document],
    joins: Sequence[Mapping[str, Any]],
    sources: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, list[Document]], list[tuple[Document, Reason]]]:
    """The documents of `train`, `validation` and `test`, and those dropped, all in the order of the input.

    The sources are placed one after the other, as `Placement.add` says, those a source brings held
    out first of all. So a source moves and drops no document of those before it, held-out
    documents it brings along excepted; and one that shares no group with the others moves none.
    No group is in two splits: what cannot go where its group is, is dropped as leak, with the
    split `held_out`. The file says the split, so the fields `split` and `own_group` end here.

    Raises InputError naming a register without a document in some split.
    """
    rows, joined = defaultdict(list), defaultdict(list)
    for document in documents:
        rows[stage(document)].append(document)
    for join in joins:
        joined[join["stage"]].append(join)
    placement = Placement(settings, seed)
    placed = {step: iter(placement.add(rows[step], joined[step])) for step in (None, *sources)}
    names = placement.names()
    parts: dict[str, list[Document]] = {name: [] for name in SPLITS}
    leaks = []
    for document in documents:
        place, goes_there = next(placed[stage(document)])
        if goes_there:
            row = {key: value for key, value in document.items() if key not in ("split", "own_group")}
            parts[place].append({**row, "group": names[document["own_group"]]})
        else:
            leaks.append((document, {"reason": "leak", "held_out": place}))
    _require_every_split(documents, parts, settings)
    return parts, leaks


def _require_every_split(
    documents: Sequence[Document], parts: Mapping[str, Sequence[Document]], settings: Mapping[str, Any]
) -> None:
    for name in SPLITS:
        for register in sorted({row["register"] for row in documents} - {row["register"] for row in parts[name]}):
            groups = [document["group"] for document in documents if document["register"] == register]
            raise InputError(
                f"register {register}: {len(groups)} documents in {len(set(groups))} groups found, none for {name}; "
                f"wanted is a source that has test {settings['test']}, validation {settings['validation']} (below 1 a "
                "share of its own documents, otherwise a number of them) and some to train on, in a group for each"
            )
