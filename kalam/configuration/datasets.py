"""Datasets of a project: their sources as they are taken, and what models, runs and candidates take of them."""

import logging
from collections.abc import Iterator
from typing import Any

from kalam.configuration.tasks import BEST, tasks

logger = logging.getLogger(__name__)

# By the kind of rows, the column that tells the parts of a dataset apart; its sources have a setting of that name.
PART = {"documents": "register", "conversations": "register"}
# By the kind of rows, the kinds of sources that can hold them.
SOURCES = {"documents": ("site", "files", "hub", "splits"), "conversations": ("files", "hub", "splits")}
# By the kind of rows, the fields that only these have.
FIELDS = {"documents": ("text",), "conversations": ("messages", "system", "prompt", "answer")}
MADE_OF_ROWS = ("scratch", "extended")  # the kinds of models that are made of a dataset's rows
DATA_DIR = "data_dir"  # the one source of a dataset that is a folder of ready-made splits


def parts(dataset: dict[str, Any]) -> list[str]:
    """The parts of a dataset, in the order of its sources."""
    column = PART[dataset["rows"]]
    return list(dict.fromkeys(source[column] for source in dataset["sources"].values()))


def settle(project: dict[str, Any]) -> Iterator[str]:
    """Fill in, in place, what each model, run and the candidates take: their dataset and its parts.

    Yields each thing that cannot be meant, as `key: what was found; what is allowed`.
    """
    before = {name: parts(dataset) for name, dataset in project["datasets"].items()}
    for name, dataset in project["datasets"].items():
        yield from _take_sources(f"datasets.{name}", dataset)
    users = {f"models.{name}": model for name, model in project["models"].items() if model["kind"] in MADE_OF_ROWS}
    users |= {f"runs.{name}": run for name, run in project["runs"].items()}
    for path, section in users.items():
        yield from _settle_one(path, section, tasks()[section["task"]].rows, project, before)
    yield from _settle_candidates(project, before)
    yield from _mixed(project)


def _settle_candidates(project: dict[str, Any], before: dict[str, list[str]]) -> Iterator[str]:
    """The text that candidates are compared on is, where nothing is said, that of the first run that may begin with
    the best of them."""
    candidates = project["candidates"]
    comparable = [tasks()[model["task"]] for model in project["models"].values()]
    rows = next((row.rows for row in comparable if row.candidates), None)
    if rows is None:
        return
    compared = [
        run
        for run in project["runs"].values()
        if BEST in (task := tasks()[run["task"]]).begins_with and task.rows == rows
    ]
    if compared and "dataset" in compared[0]:
        candidates.setdefault("dataset", compared[0]["dataset"])
        if candidates["dataset"] == compared[0]["dataset"]:
            candidates.setdefault("parts", compared[0]["parts"])
    yield from _settle_one("candidates", candidates, rows, project, before)


def _mixed(project: dict[str, Any]) -> Iterator[str]:
    """Runs on another dataset than what they may begin with, both of one kind of rows: what is held out of the one is
    not held out of the other, so they might be tested on what was trained on."""
    datasets, models, runs = project["datasets"], project["models"], project["runs"]
    made = {name: model for name, model in models.items() if model["kind"] in MADE_OF_ROWS}
    comparable = [name for name in made if tasks()[made[name]["task"]].candidates]
    users = {f"runs.{name}": (run, run["base"]) for name, run in runs.items()}
    users |= {f"models.{name}": (model, model["base"]) for name, model in made.items() if "base" in model}
    users["candidates"] = (project["candidates"], BEST)
    for path, (section, base) in users.items():
        for name in project["candidates"].get("models", comparable) if base == BEST else [base]:
            trained = runs.get(name) or made.get(name) or {}
            if "dataset" not in section or "dataset" not in trained or trained["dataset"] == section["dataset"]:
                continue
            if (rows := datasets[section["dataset"]]["rows"]) == datasets[trained["dataset"]]["rows"]:
                found, allowed = section["dataset"], trained["dataset"]
                yield f"{path}.dataset: found {found}; allowed is {allowed}, the {rows} that {name} is trained on"
                break


def _take_sources(path: str, dataset: dict[str, Any]) -> Iterator[str]:
    """Leave a dataset the sources that its folder of splits or its strategy names, none with more than the total."""
    for strategy, names in dataset["strategies"].items():
        for name in names:
            if name not in dataset["sources"]:
                yield f"{path}.strategies.{strategy}: found {name}; allowed are {', '.join(dataset['sources'])}"
                return
    strategy, most = dataset["strategy"], dataset["max_records"]
    if strategy is not None and dataset[DATA_DIR] is not None:
        yield f"{path}: found strategy {strategy} and data_dir {dataset[DATA_DIR]}; allowed is one of them"
        return
    if strategy is not None and strategy not in dataset["strategies"]:
        yield f"{path}.strategy: found {strategy}; allowed are {', '.join(dataset['strategies']) or 'none'}"
        return
    if dataset[DATA_DIR] is not None:
        dataset["sources"] = {DATA_DIR: _ready_made(dataset)}
    elif strategy is not None:
        taken = dataset["strategies"][strategy]
        dataset["sources"] = {name: source for name, source in dataset["sources"].items() if name in taken}
    if dataset[DATA_DIR] is not None or strategy is not None:
        # They have done their part, and name sources that are no longer there.
        dataset["strategies"], dataset["strategy"] = {}, None
    for source in dataset["sources"].values() if most else ():
        if source["max_records"] is None or source["max_records"] > most:
            source |= {"max_records": most, "sampling": dataset["sampling"]}


def _ready_made(dataset: dict[str, Any]) -> dict[str, Any]:
    """The source that stands for all others: its rows have one part, and the licence is for the user to say."""
    column = PART[dataset["rows"]]
    settings = {"kind": "splits", column: DATA_DIR, "folder": dataset[DATA_DIR], "group_by": "field", "fields": {}}
    unset = dict.fromkeys(("author", "dataset", "licence", "max_records", "retrieved", "revision", "subset"))
    rest = {"sampling": "first", "extraction": "article", "document": "file", "max_bytes": 10**8, "title": "none"}
    return dict(sorted({**settings, **unset, **rest}.items()))


def _settle_one(
    path: str, section: dict[str, Any], rows: str, project: dict[str, Any], before: dict[str, list[str]]
) -> Iterator[str]:
    datasets = project["datasets"]
    fitting = [name for name, dataset in datasets.items() if dataset["rows"] == rows]
    if "dataset" not in section and len(fitting) == 1:
        section["dataset"] = fitting[0]
    if section.get("dataset") not in fitting:
        found = section.get("dataset", "none")
        yield f"{path}.dataset: found {found}; allowed are those of {rows}: {', '.join(fitting) or 'none'}"
        return
    name = section["dataset"]
    known, left = [*before[name], *parts(datasets[name])], parts(datasets[name])
    for part in section.get("parts", []):
        if part not in known:
            allowed = ", ".join(before[name])
            yield f"{path}.parts: found {part}, which is no {PART[rows]} of a source; allowed are {allowed}"
            return
    wanted = section.get("parts", left)
    section["parts"] = [part for part in wanted if part in left] or left
    if section["parts"] != wanted:
        shown = ", ".join(section["parts"])
        logger.warning("config: %s.parts: %s, as the others have no source that is taken", path, shown)
    settings = sorted(section.items())
    section.clear()
    section.update(settings)
