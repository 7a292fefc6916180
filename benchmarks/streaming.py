"""Peak memory of each rule's function over few rows, over two sizes of many, and over one document of 9 MB.

python -m benchmarks.streaming        (real texts in KALAM_DATA, else the sample texts)

The rows are words of these texts, drawn at random, about 3 kB each, so that no two are alike; the one document is
the texts themselves, end to end. Each figure is the largest resident size of a process of its own, on one thread, and
the one for few rows is what the libraries take. What takes long has fewer rows; what scores has a tiny model.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from benchmarks.workflow import ROOT, machine, peak_memory_mb, write_result
from kalam.files.jsonl import read_jsonl, write_json, write_jsonl
from kalam.text.normalisation import normalise
from kalam.text.tokens import save_tokenizer, train_tokenizer

FEW, WHOLE = 100_000, 9_000_000  # bytes of text of few rows and of the one document
PIECES = 1000
SPLITS = ("train", "validation", "test")
TINY = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
CLEANING = {
    "min_characters": 1,
    "max_characters": 10**9,
    "min_script_fraction": 0.1,
    "max_repeated_lines": 1,
    "max_symbols": 1,
}


def row(number: int, text: str) -> dict[str, object]:
    name = f"{number:012x}"
    origin = {"source": "s", "register": "all", "group": name, "own_group": name, "script_fraction": 1.0}
    return {"id": name, "text": text, **origin}


def rows(sample: list[str], size: int) -> Iterator[dict[str, object]]:
    """Rows of so many bytes of text, and three more for a split to have something in each."""
    words, random = " ".join(sample).split(), np.random.default_rng(0)
    number = 0
    while size > 0 or number < 3:
        drawn = random.integers(len(words), size=200)
        text = "\n".join(" ".join(words[place] for place in line) for line in drawn.reshape(-1, 10))
        yield row(number, text)
        size -= len(text.encode())
        number += 1


def clean(folder: Path, file: Path) -> None:
    from kalam.corpus.clean import clean_file

    clean_file(file, *(folder / name for name in ("kept", "dropped", "counts")), "bn", CLEANING)


def merge(folder: Path, file: Path) -> None:
    from kalam.corpus.merge import merge_files

    merge_files([file], *(folder / name for name in ("kept", "joins", "dropped", "counts")), 0.8, 0, None, "first")


def split(folder: Path, file: Path) -> None:
    from kalam.corpus.split_documents import split_documents

    (folder / "joins").write_text("")
    split_documents(
        outputs={name: folder / name for name in SPLITS},
        statistics=folder / "statistics",
        merged=file,
        joins=folder / "joins",
        sources=["s"],
        registers=["all"],
        settings={"validation": 0.1, "test": 0.1},
        seed=0,
        dropped=folder / "dropped",
        counts=folder / "counts",
    )


def tokenise(folder: Path, file: Path) -> None:
    from kalam.training.tokenise import tokenise_run

    tokenise_run("causal", folder / "bytes.json", {"train": file}, ["all"], {"train": folder / "tokens"})


def tokenise_masked(folder: Path, file: Path) -> None:
    from kalam.training.tokenise import tokenise_run

    tokenise_run("masked", folder / "unigram.json", {"train": file}, ["all"], {"train": folder / "tokens"})


def floors(folder: Path, file: Path) -> None:
    from kalam.evaluation.ngram import write_floors

    few = {"validation": folder / "few.jsonl", "test": file}
    write_floors({"train": file, **few}, {"floor": ["all"]}, [2, 3, 4, 5, 6], {"floor": folder / "o"}, folder / "m")


def floors_scored(folder: Path, file: Path) -> None:
    from kalam.evaluation.ngram import write_floors

    files = {"train": folder / "few.jsonl", "validation": folder / "few.jsonl", "test": file}
    write_floors(files, {"floor": ["all"]}, [2, 3, 4, 5, 6], {"floor": folder / "o"}, folder / "m")


def count_tokens(folder: Path, file: Path) -> None:
    from kalam.evaluation.hidden_tokens import write_floor

    write_floor(folder / "unigram.json", file, ["all"], {"test": file}, {"test": folder / "o"})


def score(folder: Path, file: Path) -> None:
    from kalam.evaluation.systems import score_model

    settings = {"context": 1024, "stride": 1024, "batch": 16}
    score_model(
        "kalam.evaluation.perplexity",
        folder / "causal" / "meta.json",
        "AutoModelForCausalLM",
        settings,
        {"test": file},
        {"test": folder / "o"},
    )


def score_masked(folder: Path, file: Path) -> None:
    from kalam.evaluation.systems import score_model

    settings = {"context": 128, "share": 0.5, "seed": 0, "batch": 32}
    score_model(
        "kalam.evaluation.hidden_tokens",
        folder / "masked" / "meta.json",
        "AutoModelForMaskedLM",
        settings,
        {"test": file},
        {"test": folder / "o"},
    )


def digests(folder: Path, file: Path) -> None:
    """What the evaluation of a run reads of held-out text."""
    from kalam.data.selection import stored_rows
    from kalam.evaluation.bits import text_digests

    text_digests(stored_rows(file))


def page(folder: Path, file: Path) -> None:
    """What a run's page reads of held-out text."""
    from kalam.data.selection import rows_of
    from kalam.evaluation.continuations import openings

    openings(rows_of(file, ["all"]), 8)


Rule = Callable[[Path, Path], None]
# The megabytes of text that each is given.
RULES: dict[Rule, tuple[int, int]] = {
    **dict.fromkeys((clean, merge, split, tokenise, digests, page), (10, 100)),
    **dict.fromkeys((tokenise_masked, floors, floors_scored, count_tokens), (3, 30)),
    **dict.fromkeys((score, score_masked), (3, 12)),
}


def prepare(folder: Path, sample: list[str]) -> None:
    """Rows of every size, tokenizers and tiny models."""
    from kalam.models.scratch import initialise, save

    write_jsonl(folder / "few.jsonl", rows(sample, FEW))
    for size in {size for sizes in RULES.values() for size in sizes}:
        write_jsonl(folder / f"{size}_mb.jsonl", rows(sample, size * 10**6))
    text = "\n\n".join(sample * (1 + WHOLE // sum(map(len, sample)))).encode()[:WHOLE].decode(errors="ignore")
    few = list(read_jsonl(folder / "few.jsonl"))
    write_jsonl(folder / "one_of_9_mb.jsonl", [*few[:3], row(99, normalise(text, "bn"))])
    shapes = {
        "causal": ("bytes", {"model_type": "llama", "max_position_embeddings": 2048}, "AutoModelForCausalLM"),
        "masked": ("unigram", {"model_type": "xlm-roberta", "max_position_embeddings": 160}, "AutoModelForMaskedLM"),
    }
    for name, (kind, shape, head) in shapes.items():
        tokenizer = train_tokenizer(sample[:200], PIECES, kind)
        save_tokenizer(tokenizer, folder / kind)
        write_json(folder / f"{kind}.json", {"folder": str(folder / kind)})
        save(initialise({**TINY, **shape}, tokenizer, 0, head), tokenizer, folder / name)
        write_json(folder / name / "meta.json", {"kind": "scratch", "digest": name})


def measured(rule: Rule, folder: Path, name: str) -> int:
    environment = os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.streaming", rule.__name__, str(folder), str(folder / f"{name}.jsonl")]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    from benchmarks.packing import texts

    name, sample = texts(count=10**6)
    sample = [normalise(text, "bn") for text in sample]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, sample)
        found: dict[str, dict[str, int]] = {}
        for rule, sizes in tqdm(RULES.items()):
            files = ["few", *(f"{size}_mb" for size in sizes), "one_of_9_mb"]
            found[rule.__name__] = {file: measured(rule, folder, file) for file in files}
            tqdm.write(f"{rule.__name__}: {found[rule.__name__]}")
    write_result("streaming", {"machine": machine(), "text": name, "pieces": PIECES, "peak_mb": found})


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        next(rule for rule in RULES if rule.__name__ == sys.argv[1])(Path(sys.argv[2]), Path(sys.argv[3]))
        print(json.dumps(peak_memory_mb()))
