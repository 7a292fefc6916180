"""Whether a rebuilt workflow makes what the old one made: every file of its results, by a table of old and new paths.

python -m benchmarks.unchanged OLD NEW > benchmarks/unchanged.json

OLD and NEW are `results` folders of the embedded projects: OLD of commit 6cd0020, NEW of 2e0979d for the committed
result. After it the splits are cut source by source: of later commits Tamil, with one source in each register, is still
the same, while 11 of the 252 documents of Bangla are in another split, and with them all that follows.

`unchanged.tsv` says of each old path what its new one is and in what form they are to be equal; a file that is in
neither column fails. Forms: bytes; values and rows (JSON, JSONL: the same values under the names of today, of rows with
more columns beside them); metrics (the same figures of the same systems); outcome (a training's files and outcome);
text and card (the same lines but for paths, words and seconds); gguf (the same tensors and fields); drawn (the same
words in a figure); provenance (the same versions and seed); new (a file that had none before it).
"""

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".tsv")
NAMES = {"registers": "parts", "register": "part", "adapted": "floor", "base": "floor_base"}
# What differs between two equal runs, rests on the code's digest, or on whether a hub could be reached.
PASSING = {"load_seconds", "digest", "run", "local_files_only", "is_local", "tool", "size"}
# Of a GGUF: what its converter once read from a model card, where one lay beside the model already.
CARD_FIELDS = {"general.license", "general.languages", "general.tags"}
PAGES = {"continuations.html": "page.html", "fillings.html": "page.html"}


def files(folder: Path) -> list[str]:
    """The files of the projects below a folder of results; hidden ones are tools and caches."""
    paths = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if not path.startswith("."))


def pattern(text: str) -> re.Pattern:
    return re.compile(re.escape(text).replace(r"\{project\}", r"([a-z]+)").replace(r"\*", r"([^/]+)"))


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A JSON value under other names, without what passes."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(each, names) for key, each in value.items() if key not in PASSING}
    return [renamed(each, names) for each in value] if isinstance(value, list) else value


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def same_values(old: Path, new: Path) -> bool:
    names = NAMES if old.name == "meta.json" and old.parent.name == "floors" else {"registers": "parts"}
    return renamed(read(old), names) == renamed(read(new), {})


def same_rows(old: Path, new: Path) -> bool:
    olds, news = ([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] for path in (old, new))
    wanted = [renamed(row, {} if "text" in row else {"register": "part"}) for row in olds]  # documents keep theirs
    return len(olds) == len(news) and all(
        {key: row.get(key) for key in want} == want for want, row in zip(wanted, news, strict=True)
    )


def same_outcome(old: Path, new: Path) -> bool:
    first, second = read(old), read(new)
    kept = [
        {name: digest for name, digest in meta["files"].items() if "config" not in name} for meta in (first, second)
    ]
    return kept[0] == kept[1] and first["outcome"] == second["outcome"]


def same_metrics(old: Path, new: Path) -> bool:
    """The same figures: the system of an old row is told by its model's name, that of a new one by its role."""

    def figures(path: Path, key: Callable[[dict[str, str]], tuple]) -> Counter:
        with open(path, encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t"))
        columns = ("split", "metric", "context", "text_sha256", "value", "low", "high", "n", "failures")
        return Counter((key(row), *(row[column] for column in columns)) for row in rows)

    def before(row: dict[str, str]) -> tuple:
        floor = row["model"] if row["model"].startswith("floor") else None
        masked = row["metric"].startswith(("masked", "hidden", "unknown"))
        own = bool(row["run"]) and not floor and row["model"] != "base"
        return row["register"], floor or ("base" if masked and not own else "adapted" if own else "model")

    def after(row: dict[str, str]) -> tuple:
        masked = row["metric"].startswith(("masked", "hidden", "unknown"))
        return row["part"], row["role"] if masked or row["role"] not in ("base", "candidate") else "model"

    return figures(old, before) == figures(new, after)


def same_text(old: Path, new: Path) -> bool:
    def lines(path: Path) -> list[str]:
        text = path.read_text(encoding="utf-8")
        for name, now in PAGES.items():
            text = text.replace(name, now)
        seconds = re.compile(r" +(\d+\.\d|load, s)$")  # the last column of exports
        return [seconds.sub("", line) for line in text.replace("registers:", "parts:").splitlines()]

    return lines(old) == lines(new)


def same_card(old: Path, new: Path) -> bool:
    """The same lines but for one in other words; settings are in the order of their names."""

    def lines(path: Path) -> list[str]:
        text = path.read_text(encoding="utf-8").replace("registers:", "parts:").replace(" beside base", " against base")
        return sorted(line for line in text.splitlines() if line != "  dataset: text")

    return lines(old) == lines(new)


def same_gguf(old: Path, new: Path) -> bool:
    """The same tensors and fields but those of the card; read by llama.cpp's own reader, which NEW has."""
    folder = new.parents[2]
    sys.path[:0] = [str(path) for path in folder.glob(".tools/llama.cpp-*/gguf-py")]
    from gguf import GGUFReader

    def content(path: Path) -> tuple[list, dict]:
        reader = GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items() if name not in CARD_FIELDS}
        # Where things lie in the file depends on how long the fields are.
        return [(t.name, t.tensor_type, t.data.tobytes()) for t in reader.tensors], {
            name: value for name, value in fields.items() if not name.startswith("GGUF.")
        }

    return content(old) == content(new)


def same_drawing(old: Path, new: Path) -> bool:
    """The same words; a size of some bytes less moves a point by less than a pixel."""
    words = re.compile(r"<!-- (.*?) -->")
    return words.findall(old.read_text(encoding="utf-8")) == words.findall(new.read_text(encoding="utf-8"))


def same_provenance(old: Path, new: Path) -> bool:
    first, second = read(old), read(new)
    return all(first[key] == second[key] for key in ("packages", "python", "machine", "seed"))


FORMS: dict[str, Callable[[Path, Path], bool]] = {
    "bytes": lambda old, new: old.read_bytes() == new.read_bytes(),
    "values": same_values,
    "rows": same_rows,
    "outcome": same_outcome,
    "metrics": same_metrics,
    "text": same_text,
    "card": same_card,
    "gguf": same_gguf,
    "drawn": same_drawing,
    "provenance": same_provenance,
}


def compared(old: Path, new: Path) -> Iterator[tuple[str, str, str]]:
    """For every file its form, its path (the old one, where it has one) and `same` or what is wrong."""
    with open(TABLE, encoding="utf-8", newline="") as handle:
        table = list(csv.DictReader(handle, delimiter="\t"))
    claimed = set()
    for path in files(old):
        row = next((row for row in table if row["old"] and pattern(row["old"]).fullmatch(path)), None)
        if row is None:
            yield "none", path, "in no row of the table"
            continue
        parts = iter(pattern(row["old"]).fullmatch(path).groups())
        target = re.sub(r"\{project\}|\*", lambda _, parts=parts: next(parts), row["new"])
        claimed.add(target)
        if not (new / target).is_file():
            yield row["form"], path, f"{target} is not there"
        else:
            yield row["form"], path, "same" if FORMS[row["form"]](old / path, new / target) else "other"
    for path in files(new):
        if path not in claimed:
            row = next((row for row in table if not row["old"] and pattern(row["new"]).fullmatch(path)), None)
            yield "new", path, "same" if row else "in no row of the table"


def main() -> None:
    found = list(compared(*map(Path, sys.argv[1:3])))
    wrong = [f"{path}: {what}" for _, path, what in found if what != "same"]
    forms = Counter(form for form, _, _ in found)
    print(json.dumps({"files": len(found), "forms": dict(sorted(forms.items())), "wrong": wrong}, indent=2))
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
