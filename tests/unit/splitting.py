"""Splits that are held, to look at."""

from kalam.data import split as room
from kalam.data.placement import SPLITS


def split(*given):
    """(the documents of each split, those dropped with their reason) as `kalam.data.split.split` gives them."""
    parts, leaks = {name: [] for name in SPLITS}, []
    for document, place, reason in room.split(*given):
        if reason is None:
            parts[place].append(document)
        else:
            leaks.append((document, reason))
    return parts, leaks
