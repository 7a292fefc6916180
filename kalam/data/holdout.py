"""Which groups of a source are held out: a share or a number of its documents."""

from collections.abc import Mapping
from typing import Any

from kalam.files.digests import digest_text


def held_out_groups(
    sizes: Mapping[str, int], settings: Mapping[str, Any], seed: int, already: Mapping[str, int]
) -> dict[str, str]:
    """The groups of `validation` and `test`, each with its split; the others are trained on.

    `sizes` says how many documents each group has that is to be placed, `already` how many of the
    source's documents each split has. `settings` gives `validation` and `test`: below 1 a share of
    the source's documents, otherwise a number of them. The groups are taken in the order of a hash
    of seed and name, for test first, as long as each brings it nearer to its size; where all are
    too large for a split that has none, the smallest is. Nothing depends on a text, so editing one
    moves no document.

    Fewer than three groups, or no more documents than are to be held out, give none.
    """
    total = sum(sizes.values()) + sum(already.values())
    wanted = {name: _wanted(settings[name], total) for name in ("test", "validation")}
    place: dict[str, str] = {}
    if len(sizes) < 3 or sum(wanted.values()) >= total:
        return place
    order = sorted(sizes, key=lambda group: digest_text(f"{seed}\0{group}"))
    for held_out, splits_after in (("test", 2), ("validation", 1)):
        free = [group for group in order if group not in place]
        held = already.get(held_out, 0)
        for group in free:
            nearer = held + sizes[group] - wanted[held_out] <= wanted[held_out] - held
            if nearer and len(sizes) - len(place) > splits_after:
                place[group] = held_out
                held += sizes[group]
        if not held:
            place[min(free, key=lambda group: sizes[group])] = held_out
    return place


def _wanted(size: float, total: int) -> int:
    return max(1, round(size * total)) if size < 1 else int(size)
