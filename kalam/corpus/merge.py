"""The sources of a dataset become one file, without duplicates and within a limit."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kalam.corpus.deduplicate import Join, deduplicate
from kalam.data.filtering import Document, Reason, write_filtered
from kalam.data.groups import Groups
from kalam.data.limits import within_limit
from kalam.data.placement import stage
from kalam.data.selection import Stream
from kalam.files.jsonl import write_jsonl
from kalam.files.stored_rows import StoredRows
from kalam.text.languages import Ranges

logger = logging.getLogger(__name__)

Judged = Iterable[tuple[Document, Reason | None]]


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
    optional_marks: Ranges = (),
) -> dict[str, Any]:
    """Merge the files of the sources, one each, the first named first, as `merge` says, and write the joins too.

    The documents stay in their files; of each a signature and its groups are held. Returns the counts that it writes.
    """
    documents = StoredRows(inputs)
    judged, joined = merge(documents, documents.lengths, threshold, seed, max_records, sampling, optional_marks)
    write_jsonl(joins, joined)
    figures = write_filtered(judged, merged, dropped, counts, read=len(documents))
    logger.info("merged %(kept)s of %(read)s documents, dropped %(dropped)s", figures)
    return figures


def merge(
    documents: Sequence[Document],
    lengths: Sequence[int],
    threshold: float,
    seed: int,
    max_records: int | None,
    sampling: str,
    optional_marks: Ranges = (),
) -> tuple[Judged, list[dict[str, Any]]]:
    """The documents, with None if they stay, else with their reason, as a stream; and the joins of their groups.

    The sources lie end to end, so long each.

    Those without a duplicate stay, as `deduplicate` says; of these at most `max_records` (all, where
    it is None), chosen as `within_limit` says of `sampling` (first, random), the others are dropped as
    beyond_max_records. A document that stays has the group it came with as `own_group`, beside the
    `group` it shares with others now. A join is a row of two own groups (`group`, `other`) that
    belong together, and of the first `stage` of the placement that shows it.
    """
    own = [document["group"] for document in documents]
    judged, joins = deduplicate(documents, threshold, seed, optional_marks)
    groups = Groups()
    for one, other in joins:
        groups.join(own[one], own[other])
    logger.info("%s groups, joined into %s", len({*own}), len({groups.name(group) for group in own}))
    if max_records is not None:
        judged = _limited(judged, lengths, max_records, sampling, seed)
    with_own = Stream(
        lambda: (
            (row if reason else {**row, "own_group": group}, reason)
            for group, (row, reason) in zip(own, judged, strict=True)
        )
    )
    return with_own, list(_joins_of_groups(documents, own, joins))


def _joins_of_groups(
    documents: Sequence[Document], own: Sequence[str], joins: Sequence[Join]
) -> Iterator[dict[str, Any]]:
    found = ((stage(documents[one]), own[one], own[other]) for one, other in joins)
    for step, group, other in dict.fromkeys(found):
        if group != other:
            yield {"stage": step, "group": group, "other": other}


def _limited(judged: Judged, lengths: Sequence[int], most: int, sampling: str, seed: int) -> Judged:
    """The judgements with a reason for each document beyond the limit."""
    rest = iter(judged)
    sources = [[{"id": row["id"]} for row, reason in islice(rest, length) if reason is None] for length in lengths]
    allowed = within_limit(sources, most, sampling, seed)
    beyond = {"reason": "beyond_max_records", "allowed": most}
    return Stream(lambda: ((row, reason or (None if row["id"] in allowed else beyond)) for row, reason in judged))
