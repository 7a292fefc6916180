"""The sources of a dataset become one file, without duplicates and within a limit."""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kalam.corpus.deduplicate import Join, deduplicate
from kalam.data.filtering import Document, Reason, write_filtered
from kalam.data.limits import within_limit
from kalam.data.placement import stage
from kalam.files.jsonl import read_jsonl, write_jsonl

logger = logging.getLogger(__name__)

Judged = list[tuple[Document, Reason | None]]


def merge_files(
    inputs: Sequence[str | Path],
    merged: str | Path,
    joins: str | Path,
    dropped: str | Path,
    counts: str | Path,
    threshold: float,
    seed: int,
    max_records: int | None,
    sampling: str,
) -> dict[str, Any]:
    """Merge the files of the sources, one each, the first named first, as `merge` says, and write the joins too.

    Holds all documents in memory. Returns the counts that it writes.
    """
    sources = [list(read_jsonl(path)) for path in inputs]
    judged, joined = merge(sources, threshold, seed, max_records, sampling)
    write_jsonl(joins, joined)
    figures = write_filtered(judged, merged, dropped, counts, read=sum(map(len, sources)))
    logger.info("merged %(kept)s of %(read)s documents, dropped %(dropped)s", figures)
    before = len({row["group"] for source in sources for row in source})
    logger.info("%s groups, joined into %s", before, len({row["group"] for row, _ in judged}))
    return figures


def merge(
    sources: Sequence[Sequence[Document]], threshold: float, seed: int, max_records: int | None, sampling: str
) -> tuple[Judged, list[dict[str, Any]]]:
    """The documents of all sources, with None if they stay, else with their reason; and the joins of their groups.

    Those without a duplicate stay, as `deduplicate` says; of these at most `max_records` (all, where
    it is None), chosen as `within_limit` says of `sampling` (first, random), the others are dropped as
    beyond_max_records. A document that stays has the group it came with as `own_group`, beside the
    `group` it shares with others now. A join is a row of two own groups (`group`, `other`) that
    belong together, and of the first `stage` of the placement that shows it.
    """
    documents = [document for source in sources for document in source]
    judged, joins = deduplicate(documents, threshold, seed)
    if max_records is not None:
        judged = _limited(judged, [len(source) for source in sources], max_records, sampling, seed)
    with_own = [
        (row if reason else {**row, "own_group": document["group"]}, reason)
        for document, (row, reason) in zip(documents, judged, strict=True)
    ]
    return with_own, list(_joins_of_groups(documents, joins))


def _joins_of_groups(documents: Sequence[Document], joins: Sequence[Join]) -> Iterator[dict[str, Any]]:
    found = ((stage(documents[one]), documents[one]["group"], documents[other]["group"]) for one, other in joins)
    for step, group, other in dict.fromkeys(found):
        if group != other:
            yield {"stage": step, "group": group, "other": other}


def _limited(judged: Judged, lengths: Sequence[int], most: int, sampling: str, seed: int) -> Judged:
    """The judgements with a reason for each document beyond the limit; the sources lie end to end, so long each."""
    rest = iter(judged)
    sources = [[row for row, reason in islice(rest, length) if reason is None] for length in lengths]
    allowed = within_limit(sources, most, sampling, seed)
    beyond = {"reason": "beyond_max_records", "allowed": most}
    return [(row, reason or (None if row["id"] in allowed else beyond)) for row, reason in judged]
