"""Train, validation and test, by group: as a source has them, otherwise a share of each source."""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kalam.data.filtering import Document, Reason
from kalam.data.placement import SPLITS, Placement, stage
from kalam.data.selection import Stream
from kalam.files.atomic import atomic_write
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_json

logger = logging.getLogger(__name__)

PLACED_BY = ("register", "source", "split", "own_group")


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
    The documents are gone through thrice, and not held. Returns the counts. Raises InputError as `split` does, and
    naming a register of which no document is left.
    """
    documents = Stream(lambda: read_jsonl(merged))
    left = {document["register"] for document in documents}
    for register in registers:
        if register not in left:
            raise InputError(
                f"register {register}: no document is left; {_dropped(merged, register)}; those that were dropped "
                "before, and why, lie beside the sources that were cleaned"
            )
    number, sizes = 0, dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        files = {name: stack.enter_context(atomic_write(outputs[name])) for name in SPLITS}
        leaked = stack.enter_context(atomic_write(dropped))
        for document, place, reason in split(documents, list(read_jsonl(joins)), sources, settings, seed):
            if reason is None:
                sizes[place] += 1
                files[place].write(json.dumps(document, ensure_ascii=False) + "\n")
            else:
                number += 1
                leaked.write(json.dumps({**document, **reason}, ensure_ascii=False) + "\n")
    kept = sum(sizes.values())
    figures = {"read": kept + number, "kept": kept, "dropped": {"leak": number} if number else {}}
    write_json(counts, figures)
    logger.info("split %s documents: %s, dropped %s", figures["read"], sizes, figures["dropped"])
    return figures


def _dropped(merged: str | Path, register: str) -> str:
    """How many documents of a register a merge dropped, for each reason."""
    file = Path(merged).with_suffix(".dropped.jsonl")
    rows = read_jsonl(file) if file.exists() else ()
    found = Counter(row["reason"] for row in rows if row["register"] == register)
    counts = ", ".join(f"{reason} {number}" for reason, number in found.most_common()) or "none"
    return f"dropped by the merge: {counts} (see {file})"


def split(
    documents: Iterable[Document],
    joins: Sequence[Mapping[str, Any]],
    sources: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
) -> Iterator[tuple[Document, str, Reason | None]]:
    """Each document in its order, with the split that has its group, and None if it goes there, else the reason.

    The sources are placed one after the other, as `Placement.add` says, those a source brings held
    out first of all. So a source moves and drops no document of those before it, held-out
    documents it brings along excepted; and one that shares no group with the others moves none.
    No group is in two splits: what cannot go where its group is, is dropped as leak, with the
    split `held_out`. The file says the split, so the fields `split` and `own_group` end here.

    The documents are gone through twice; what is held of each is what its place depends on.
    Raises InputError naming a register without a document in some split.
    """
    held = [{key: document[key] for key in PLACED_BY if key in document} for document in documents]
    rows, joined = defaultdict(list), defaultdict(list)
    for row in held:
        rows[stage(row)].append(row)
    for join in joins:
        joined[join["stage"]].append(join)
    placement = Placement(settings, seed)
    placed = {step: iter(placement.add(rows[step], joined[step])) for step in (None, *sources)}
    places = [next(placed[stage(row)]) for row in held]
    registers = [row["register"] for row in held]
    _require_every_split(documents, registers, places, settings)
    names = placement.names()
    for document, (place, goes_there) in zip(documents, places, strict=True):
        if goes_there:
            row = {key: value for key, value in document.items() if key not in ("split", "own_group")}
            yield {**row, "group": names[document["own_group"]]}, place, None
        else:
            yield document, place, {"reason": "leak", "held_out": place}


def _require_every_split(
    documents: Iterable[Document],
    registers: Sequence[str],
    places: Sequence[tuple[str, bool]],
    settings: Mapping[str, Any],
) -> None:
    there = {(register, place) for register, (place, goes) in zip(registers, places, strict=True) if goes}
    for name in SPLITS:
        for register in sorted(register for register in {*registers} if (register, name) not in there):
            groups = [document["group"] for document in documents if document["register"] == register]
            raise InputError(
                f"register {register}: {len(groups)} documents in {len(set(groups))} groups found, none for {name}; "
                f"wanted is a source that has test {settings['test']}, validation {settings['validation']} (below 1 a "
                "share of its own documents, otherwise a number of them) and some to train on, in a group for each"
            )
