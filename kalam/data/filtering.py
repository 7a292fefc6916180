"""The three outputs of every filter: what it kept, what it dropped and why, and the counts."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json, write_json

Document = dict[str, Any]
Reason = dict[str, Any]


def write_filtered(
    judged: Iterable[tuple[Document, Reason | None]],
    kept: str | Path,
    dropped: str | Path,
    counts: str | Path,
    read: int | None = None,
) -> dict[str, Any]:
    """Write each document to `kept`, or with its reason to `dropped`, and what was counted last.

    A reason holds `reason`, a short stable key, and the figures it rests on; they become columns of
    the dropped row. All three files are atomic; the counts are {read, kept, dropped: {reason: n}}.

    Raises RuntimeError where kept and dropped do not add up to `read`, if that is known before.
    """
    number, reasons = 0, Counter()
    with atomic_write(kept) as kept_file, atomic_write(dropped) as dropped_file:
        for document, reason in tqdm(judged, desc=Path(kept).name, total=read, unit=" documents", disable=None):
            if reason is None:
                number += 1
                kept_file.write(json.dumps(document, ensure_ascii=False) + "\n")
            else:
                reasons[reason["reason"]] += 1
                dropped_file.write(json.dumps({**document, **reason}, ensure_ascii=False) + "\n")
        total = number + reasons.total()
        if read is not None and total != read:
            raise RuntimeError(f"{kept}: {read} documents read, but {number} kept and {reasons.total()} dropped")
    figures = {"read": total, "kept": number, "dropped": dict(sorted(reasons.items()))}
    write_json(counts, figures)
    return figures


def gather_filtered(
    shards: Mapping[str, Sequence[str | Path]], kept: str | Path, dropped: str | Path, counts: str | Path
) -> dict[str, Any]:
    """Put together what a filter wrote of each shard (`kept`, `dropped`, `counts`), in their order: the same three
    files that it would have written of the whole. Returns the counts."""
    for name, target in (("kept", kept), ("dropped", dropped)):
        with atomic_write(target, "wb") as whole:
            for path in shards[name]:
                with open(path, "rb") as part:
                    shutil.copyfileobj(part, whole)
    found = [read_json(path) for path in shards["counts"]]
    reasons = sum((Counter(each["dropped"]) for each in found), Counter())
    figures = {key: sum(each[key] for each in found) for key in ("read", "kept")}
    figures["dropped"] = dict(sorted(reasons.items()))
    write_json(counts, figures)
    return figures
