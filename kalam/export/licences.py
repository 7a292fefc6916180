"""Under which licences the weights of a run stand: those of its base, and of all texts that went into them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kalam.configuration.project import runs_before
from kalam.files.jsonl import read_jsonl

UNKNOWN, OTHER = "unknown", "other"
# Terms that go with whatever is made of the weights; a text without conditions changes nothing about them.
BINDING = ("gemma", "llama")
WITHOUT_CONDITIONS = ("cc0-1.0", "pddl", "unlicense")

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Use:
    """A source that weights were trained on: by whom (a model or a run), and the licences of the texts."""

    by: str
    name: str
    source: Section
    licences: tuple[str, ...]


def models_behind(models: Mapping[str, Section], name: str) -> list[str]:
    """A model and those that it is an extension of, the first of them first."""
    behind = [name]
    while (base := models[behind[0]].get("base")) is not None:
        behind.insert(0, base)
    return behind


def makers(section: Section, run: str, base: str) -> Iterator[tuple[str, Section]]:
    """What has read texts, in its order: the models of a run's base, the runs that it begins with, and itself."""
    for name in models_behind(section["models"], base):
        yield f"base {name}", section["models"][name]
    for name in [*reversed(runs_before(section["runs"], run)), run]:
        yield f"run {name}", section["runs"][name]


def uses(section: Section, run: str, base: str, train: Mapping[str, str | Path]) -> list[Use]:
    """Every source that went into a run, once for each that read it; `train` are the training splits by dataset.

    The licences are those of the rows; of a source of which the split has none, that of its settings.
    """
    found, of_rows = [], {name: _licences(read_jsonl(path)) for name, path in train.items()}
    for by, maker in makers(section, run, base):
        sources = section["datasets"][maker["dataset"]]["sources"] if maker.get("dataset") else {}
        for name, source in sources.items():
            if source["register"] in maker["parts"]:
                own = of_rows.get(maker["dataset"], {}).get(name) or {source["licence"] or UNKNOWN}
                found.append(Use(by, name, source, tuple(sorted(own))))
    return found


def _licences(rows: Iterable[Section]) -> dict[str, set[str]]:
    licences = defaultdict(set)
    for row in rows:
        licences[row["source"]].add(row.get("licence") or UNKNOWN)
    return licences


def head(base: str | None, licences: Iterable[str], page: str) -> dict[str, str]:
    """What the hub's metadata say of the licence of weights: `license`, and for more than one `license_name` and
    `license_link`.

    `base` is the licence of the base's weights, None where these were made here; `licences` are those of the texts;
    `page` is where all are named.
    """
    named = sorted({licence.lower(): licence for licence in licences}.keys())
    if base is not None:
        bound = base.lower().startswith(BINDING)
        named = [base.lower(), *(n for n in named if n != base.lower() and not (bound and n in WITHOUT_CONDITIONS))]
    if len(named) == 1 and named[0] not in (UNKNOWN, OTHER):
        return {"license": named[0]}
    return {
        "license": OTHER,
        "license_name": "-and-".join(name.replace(" ", "-") for name in named),
        "license_link": page,
    }
