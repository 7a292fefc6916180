"""Tokenising beside the tokenizer alone: processor time and peak memory, at two sizes.

python -m benchmarks.tokenising        (real texts in KALAM_DATA, else the sample texts, again and again)

Each turn is a process of its own on one thread. `kalam` is the rule: rows are read from a file, encoded and
written; its time has the loading of the tokenizer in it, not that of the libraries. `library` is
`encode_batch_fast` over the same texts in the same batches, what it finds thrown away; only these calls
count for its time. Both take turns; the speed is a ratio of medians over the turns of one size.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.packing import texts
from benchmarks.workflow import ROOT, machine, peak_memory_mb, write_result
from kalam.files.jsonl import write_json, write_jsonl
from kalam.text.batches import batches
from kalam.text.tokens import BATCH, load_tokenizer, save_tokenizer, train_tokenizer

SIZES = {30_000_000: 3, 300_000_000: 1}  # bytes of text, turns
VOCABULARY = 8000


def repeated(sample: list[str], size: int):
    """Rows of the sample, again and again, until they have so many bytes."""
    for text in cycle(sample):
        if size <= 0:
            return
        size -= len(text.encode())
        yield {"text": text, "register": "all"}


def kalam(folder: Path, rows: Path) -> float:
    from kalam.training.tokenise import tokenise_run

    seconds = 0.0
    for file in (folder / "few.jsonl", rows):  # the first loads the libraries
        begun = time.process_time()
        tokenise_run(
            "causal", folder / "base.json", {"train": file}, ["all"], {}, {"train": folder / "tokens.safetensors"}
        )
        seconds = time.process_time() - begun
    return seconds


def library(folder: Path, rows: Path) -> float:
    from kalam.data.selection import texts_of

    backend = load_tokenizer(folder / "tokenizer").backend_tokenizer
    seconds = 0.0
    for batch in batches(texts_of(rows), BATCH):
        begun = time.process_time()
        backend.encode_batch_fast(batch, add_special_tokens=False)
        seconds += time.process_time() - begun
    return seconds


def turn(way: str, folder: Path, rows: Path) -> dict[str, float]:
    """The processor's seconds and the peak memory of one way in a process of its own."""
    environment = os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.tokenising", way, str(folder), str(rows)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compare(folder: Path, size: int, turns: int, sample: list[str]) -> dict[str, object]:
    rows = folder / f"{size}.jsonl"
    write_jsonl(rows, repeated(sample, size))
    found = [{way: turn(way, folder, rows) for way in ("library", "kalam")} for _ in range(turns)]
    rows.unlink()
    figures: dict[str, dict[str, float]] = {
        way: {key: statistics.median(each[way][key] for each in found) for key in ("seconds", "peak_mb")}
        for way in ("library", "kalam")
    }
    speed = figures["library"]["seconds"] / figures["kalam"]["seconds"]
    return {"text_mb": size / 1e6, "turns": turns, **figures, "speed_of_kalam_to_library": round(speed, 3)}


def main() -> None:
    name, sample = texts(count=10**6)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_tokenizer(train_tokenizer(sample, VOCABULARY), folder / "tokenizer")
        write_json(folder / "base.json", {"folder": str(folder / "tokenizer")})
        write_jsonl(folder / "few.jsonl", repeated(sample, 1000))
        load = os.getloadavg()[0]
        sizes = [compare(folder, size, turns, sample) for size, turns in SIZES.items()]
    about = {"machine": machine(), "load": [round(load, 1), round(os.getloadavg()[0], 1)], "text": name}
    write_result("tokenising", {**about, "pieces": VOCABULARY, "sizes": sizes})


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        seconds = {"kalam": kalam, "library": library}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
        print(json.dumps({"seconds": round(seconds, 2), "peak_mb": peak_memory_mb()}))
