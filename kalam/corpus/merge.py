"""The sources of a dataset become one file, without duplicates and within a limit."""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kalam.corpus.deduplicate import deduplicate
from kalam.data.filtering import Document, Reason, write_filtered
from kalam.data.limits import within_limit
from kalam.files.jsonl import read_jsonl

logger = logging.getLogger(__name__)

Judged = list[tuple[Document, Reason | None]]


def merge_files(
    inputs: Sequence[str | Path],
    merged: str | Path,
    dropped: str | Path,
    counts: str | Path,
    threshold: float,
    seed: int,
    max_records: int | None,
    sampling: str,
) -> dict[str, Any]:
    """Merge the files of the sources, one each, the first named first, without duplicates; `deduplicate` says how.

    Of the rest at most `max_records` documents stay (all, where it is None), chosen as
    `within_limit` says of `sampling` (first, random); the others are dropped as beyond_max_records.
    Holds all documents in memory. Returns the counts that it writes.
    """
    sources = [list(read_jsonl(path)) for path in inputs]
    documents = [document for source in sources for document in source]
    judged = deduplicate(documents, threshold, seed)
    before, after = (len({row["group"] for row in rows}) for rows in (documents, (row for row, _ in judged)))
    if max_records is not None:
        judged = _limited(judged, [len(source) for source in sources], max_records, sampling, seed)
    figures = write_filtered(judged, merged, dropped, counts, read=len(documents))
    logger.info("merged %(kept)s of %(read)s documents, dropped %(dropped)s", figures)
    logger.info("%s groups, joined into %s", before, after)
    return figures


def _limited(judged: Judged, lengths: Sequence[int], most: int, sampling: str, seed: int) -> Judged:
    """The judgements with a reason for each document beyond the limit; the sources lie end to end, so long each."""
    rest = iter(judged)
    sources = [[row for row, reason in islice(rest, length) if reason is None] for length in lengths]
    allowed = within_limit(sources, most, sampling, seed)
    beyond = {"reason": "beyond_max_records", "allowed": most}
    return [(row, reason or (None if row["id"] in allowed else beyond)) for row, reason in judged]
