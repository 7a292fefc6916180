"""Merging 100 MB of text beside another revision: processor time, peak memory, and what of known pairs is found.

python -m benchmarks.deduplicating REVISION

The documents are words drawn from the sample texts; of a tenth of them an edited copy follows, of another tenth a piece
does, and another tenth has most of it in the middle of a text of its own. Each turn is a process of its own on one
thread; both revisions take turns.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.workflow import ROOT, checked_out, machine, write_result
from kalam.files.jsonl import read_jsonl, write_json, write_jsonl

SIZE, TURNS, WORDS = 100_000_000, 3, 140
KINDS = ("edited", "piece", "quoting")


def documents(words: list[str], size: int):
    """Rows of so many bytes in all; the `kind` says how a row was made of the one before it."""
    drawn = random.Random(1)

    def some(count: int) -> list[str]:
        return drawn.choices(words, k=count)

    number = 0
    while size > 0:
        own = some(drawn.randint(WORDS // 2, 4 * WORDS))
        made = {"edited": [*own, *some(len(own) // 20)], "piece": own[len(own) // 4 :][: len(own) // 4]}
        made["quoting"] = [*some(2 * WORDS), *own[: len(own) * 4 // 5], *some(2 * WORDS)]
        kind = KINDS[number % 10] if number % 10 < len(KINDS) else None
        for name, text in ((None, own), (kind, made.get(kind))):
            if text:
                row = {"id": f"{number}{name or ''}", "kind": name, "group": f"g{number}{name or ''}", "source": "all"}
                yield row | {"text": " ".join(text)}
                size -= len(row["id"]) + sum(len(word.encode()) + 1 for word in text)
        number += 1


def turn(folder: str) -> None:
    """Merge the rows of a folder with the package that is on the path, and say what it took."""
    import resource

    from kalam.corpus.merge import merge_files

    outputs = [Path(folder) / name for name in ("merged.jsonl", "joins.jsonl", "dropped.jsonl", "counts.json")]
    begun = time.process_time()
    merge_files([Path(folder) / "rows.jsonl"], *outputs, 0.8, 1, None, "first")
    taken = {
        "seconds": time.process_time() - begun,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    write_json(Path(folder) / "taken.json", taken)


def found(folder: Path) -> dict[str, dict[str, int]]:
    """How many rows of each kind there were, were dropped, or share the group of the row that they were made of."""
    merged = {row["id"]: row for row in read_jsonl(folder / "merged.jsonl")}
    counts = {kind: {"rows": 0, "dropped": 0, "in_its_group": 0} for kind in (*KINDS, "other")}
    for before, row in pairwise(read_jsonl(folder / "rows.jsonl")):
        kept, made_of = merged.get(row["id"]), merged.get(before["id"])
        of = counts[row["kind"] or "other"]
        of["rows"] += 1
        of["dropped"] += kept is None
        of["in_its_group"] += kept is not None and made_of is not None and kept["group"] == made_of["group"]
    return counts


def main(revision: str) -> None:
    from benchmarks.packing import texts  # torch, which a turn has no need of

    origin, sample = texts()
    words = sorted({word for text in sample for word in text.split()})
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_jsonl(folder / "rows.jsonl", documents(words, SIZE))
        (folder / "before").mkdir()
        trees = {"before": checked_out(revision, folder / "before"), "here": ROOT}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        pairs = {}
        for _ in range(TURNS):
            for name, tree in trees.items():
                environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"}
                command = [sys.executable, Path(__file__), "--turn", folder]
                subprocess.run(command, env=environment, cwd=tree, check=True)
                taken[name].append(json.loads((folder / "taken.json").read_text()))
                pairs[name] = found(folder)
        median = {name: statistics.median(turn["seconds"] for turn in some) for name, some in taken.items()}
        result = {
            **machine(),
            "texts": f"words of {origin}",
            "bytes": SIZE,
            "before": revision,
            "processor_seconds": {name: [round(t["seconds"], 1) for t in some] for name, some in taken.items()},
            "ratio_of_medians": round(median["here"] / median["before"], 2),
            "peak_mb": {name: round(max(t["peak_mb"] for t in some)) for name, some in taken.items()},
            "found": pairs,
        }
    write_result("deduplicating", result)


if __name__ == "__main__":
    turn(sys.argv[2]) if sys.argv[1] == "--turn" else main(sys.argv[1])
