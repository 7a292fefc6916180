"""Which split each document goes to: the sources one after the other, so none moves a document of an earlier one."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kalam.data.groups import Groups
from kalam.data.holdout import held_out_groups

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")  # each stricter than the one before

Row = Mapping[str, Any]


def stage(row: Row) -> str | None:
    """When a row is placed: with its source, or before all sources (None) if its source brings it held out."""
    return row["source"] if row.get("split", "train") == "train" else None


class Placement:
    """The split of every own group of a source that has documents so far, and the groups that belong together."""

    def __init__(self, settings: Mapping[str, Any], seed: int) -> None:
        self._settings = settings
        self._seed = seed
        self._groups = Groups()
        self._split: dict[str, str] = {}
        self._brought: set[str] = set()  # own groups that a source brings held out, which no row follows

    def add(self, rows: Sequence[Row], joins: Iterable[Row]) -> list[tuple[str, bool]]:
        """For each row of a stage the split that has its group, and whether the row goes there; otherwise it is a leak.

        A group that earlier stages have stays where it is. The rows of this stage follow it, unless
        they bring another split, or it was brought held out, or it turns out to be in several splits
        (only this stage shows that these belong together). A new group goes to the strictest split
        that its rows bring, otherwise where `held_out_groups` of this source's new groups says.
        """
        own = {row["own_group"] for row in rows}
        for join in joins:
            own.add(join["group"])
            self._groups.join(join["group"], join["other"])
        names = [self._groups.name(row["own_group"]) for row in rows]
        found = self._splits_of_groups()
        closed = {self._groups.name(group) for group in self._brought}
        split = {name: max(splits, key=SPLITS.index) for name, splits in found.items()}
        for name, row in zip(names, rows, strict=True):
            if name not in found and "split" in row:
                split[name] = max(split.get(name, "train"), row["split"], key=SPLITS.index)

        def goes_there(name: str, row: Row) -> bool:
            alone = len(found.get(name, ())) < 2
            return alone and row.get("split", "train" if name in closed else split[name]) == split[name]

        new = Counter(name for name in names if name not in split)
        pairs = list(zip(names, rows, strict=True))
        already = Counter(split[name] for name, row in pairs if name in split and goes_there(name, row))
        split |= self._shares(new, already, own)
        if new and all(split[name] == "train" for name in new):
            logger.info("%s: all %s documents in new groups are trained on", rows[0]["source"], new.total())
        placed = [(split[name], goes_there(name, row)) for name, row in pairs]
        for row, (place, goes) in zip(rows, placed, strict=True):
            if goes:
                self._split[row["own_group"]] = place
                self._brought |= {row["own_group"]} if stage(row) is None else set()
        return placed

    def names(self) -> dict[str, str]:
        """The group that every own group belongs to; what is in several splits is a group in each of them."""
        parts: dict[tuple[str, str], list[str]] = defaultdict(list)
        for group, place in self._split.items():
            parts[self._groups.name(group), place].append(group)
        several = {name for name, splits in self._splits_of_groups().items() if len(splits) > 1}
        return {group: min(part) if name in several else name for (name, _), part in parts.items() for group in part}

    def _splits_of_groups(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for group, place in self._split.items():
            found[self._groups.name(group)].add(place)
        return found

    def _shares(self, new: Mapping[str, int], already: Mapping[str, int], own: set[str]) -> dict[str, str]:
        """The split of each new group of a source, from its number of documents and the names of its own groups."""
        # by the smallest name within the source, which no join with another source changes
        smallest: dict[str, str] = {}
        for group in sorted(own, reverse=True):
            smallest[self._groups.name(group)] = group
        sizes = {smallest[name]: size for name, size in new.items()}
        held_out = held_out_groups(sizes, self._settings, self._seed, already)
        return {name: held_out.get(smallest[name], "train") for name in new}
