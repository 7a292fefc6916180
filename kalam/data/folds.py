"""Folds: train and validation cut by group into equal parts, each of them held out once."""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.files.digests import digest_text
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl

logger = logging.getLogger(__name__)

TRAINED_ON = ("train", "validation")

Cell = tuple[str, str]  # split and part
Key = tuple[str, ...]  # cell, part, split or all, and which
Files = Mapping[str, str | Path]


def write_fold(
    rows: Files, parts: Collection[str], column: str, number: int, of: int, seed: int, outputs: Files
) -> None:
    """Write train, validation and test of one fold, `number` from 1, to `outputs`.

    `rows` are the files of train and validation, `column` that of their parts. The groups that have rows of `parts`
    are dealt out by `deal`; those of this fold are `test`, and nothing of them is left in train and validation, which
    are otherwise what they were. So no fold stops its own training early. Of rows, only those of `parts` are tested
    on; a base may have read the others.
    Holds the names of the groups in memory. Raises InputError as `deal` does.
    """
    groups: dict[str, Counter[Cell]] = defaultdict(Counter)
    for split in TRAINED_ON:
        for row in read_jsonl(rows[split]):
            if row[column] in parts:
                groups[row["group"]][split, row[column]] += 1
    fold = deal(groups, of, seed)
    held_out = {group for group in groups if fold[group] == number}

    def tested_on() -> Iterator[dict[str, Any]]:
        for split in TRAINED_ON:
            yield from (row for row in read_jsonl(rows[split]) if row["group"] in held_out and row[column] in parts)

    sizes = {"test": write_jsonl(outputs["test"], tested_on())}
    for split in TRAINED_ON:
        kept = (row for row in read_jsonl(rows[split]) if row["group"] not in held_out)
        sizes[split] = write_jsonl(outputs[split], kept)
    logger.info("fold %s of %s: %s of %s groups held out, rows %s", number, of, len(held_out), len(groups), sizes)


def deal(groups: Mapping[str, Mapping[Cell, int]], of: int, seed: int) -> dict[str, int]:
    """The fold, from 1, of each group, of which the rows are counted by split and part.

    The groups are dealt out from the largest to the smallest, in the order of a hash of seed and name where they are
    equal, each to the fold that has least of its part in its split, then least of its part, of its split, and of all.
    Nothing depends on the order of the rows.

    Raises InputError naming a part that has too few groups, and a fold without which nothing would be left of a split.
    """
    _require_groups(groups, of)
    totals: Counter[Key] = Counter()
    for cells in groups.values():
        totals.update(_loads(cells))
    held: list[Counter[Key]] = [Counter() for _ in range(of)]
    fold = {}
    for group in sorted(groups, key=lambda name: (-sum(groups[name].values()), digest_text(f"{seed}\0{name}"))):
        loads = _loads(groups[group])
        number = min(range(of), key=lambda n: _in_the_way(held[n], loads, totals))
        held[number].update(loads)
        fold[group] = number + 1
    _require_something(held, totals)
    return fold


def _require_groups(groups: Mapping[str, Mapping[Cell, int]], of: int) -> None:
    found = Counter(part for cells in groups.values() for part in {part for _, part in cells})
    for part, number in sorted(found.items()):
        if number < of:
            raise InputError(
                f"folds: found {of}, but {number} groups of {part} in train and validation; allowed are up to {number}"
            )


def _require_something(held: Sequence[Counter[Key]], totals: Counter[Key]) -> None:
    for number, has in enumerate(held, start=1):
        for (kind, *what), whole in totals.items():
            found = has[kind, *what]
            much = "all" if found else "nothing"
            if (kind, found) == ("part", 0) or (kind, found) == ("split", whole):
                raise InputError(
                    f"folds: found {much} of {what[0]} in fold {number} of {len(held)}, cut by group; "
                    "allowed are fewer folds, or more groups"
                )


def _loads(cells: Mapping[Cell, int]) -> Counter[Key]:
    """What the rows of a group weigh: in a part of a split, a part, a split, and in all."""
    loads: Counter[Key] = Counter()
    for (split, part), size in cells.items():
        loads.update({("cell", split, part): size, ("part", part): size, ("split", split): size, ("all",): size})
    return loads


def _in_the_way(held: Counter[Key], loads: Counter[Key], totals: Counter[Key]) -> tuple[float, ...]:
    """How much a fold has already of what a group has: in its parts of splits, its parts, its splits, and in all."""
    return tuple(
        sum(held[key] * size / totals[key] ** 2 for key, size in loads.items() if key[0] == kind)
        for kind in ("cell", "part", "split", "all")
    )
