"""Folds: runs that train on all of train and validation but one fold, and are tested on that one."""

from collections.abc import Iterator
from typing import Any

from kalam.configuration.datasets import MADE_OF_ROWS, parts
from kalam.configuration.project import candidates, runs_before
from kalam.configuration.tasks import BEST, tasks


def rows_folder(project: dict[str, Any], run: dict[str, Any]) -> str:
    """Where the rows of a run or model lie below `data`: the folder of its dataset, or that of its fold of it.

    A fold is cut of the parts that its run is trained on, so runs with the same parts share it.
    """
    if "fold" not in run:
        return run["dataset"]
    every = parts(project["datasets"][run["dataset"]])
    some = [part for part in every if part in run["parts"]]
    which = "" if some == every else "." + "+".join(some)
    return f"{run['dataset']}{which}.fold{run['fold']['number']}of{run['fold']['of']}"


def folds(project: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every fold that is cut of the project's datasets, by its folder: the first run that reads it."""
    found: dict[str, dict[str, Any]] = {}
    for run in project["runs"].values():
        if "fold" in run:
            found.setdefault(rows_folder(project, run), run)
    return found


def folded_runs(project: dict[str, Any]) -> dict[str, list[str]]:
    """The runs of each section with folds, by what their names have in common."""
    found: dict[str, list[str]] = {}
    for name, run in project["runs"].items():
        if "fold" in run:
            found.setdefault(run["fold"]["run"], []).append(name)
    return found


def objections(project: dict[str, Any]) -> Iterator[str]:
    """Folds whose figures would be none, as `key: what was found; what is allowed`."""
    for name, several in folded_runs(project).items():
        run = project["runs"][several[0]]
        if tasks()[run["task"]].measure is None:
            yield f"runs.{name}.folds: found {run['fold']['of']}; allowed is none, as {run['task']} has no measure"
    for name, run in project["runs"].items():
        if "fold" in run and (found := _read_before(project, name)):
            yield (
                f"runs.{name}.base: found {run['base']}, since {found} is trained on rows that the folds hold out; "
                "allowed is what has not read them"
            )


def _read_before(project: dict[str, Any], name: str) -> str | None:
    """What a run may begin with that has read rows of the fold which it is tested on; tokenizers do not count."""
    models, runs, run = project["models"], project["runs"], project["runs"][name]
    before = runs_before(runs, name)
    base = runs[before[-1]]["base"] if before else run["base"]
    possible = candidates(project) if base == BEST else [base]
    made = [models[model].get("base", model) for model in possible if models[model]["kind"] in MADE_OF_ROWS]
    read = {other: runs[other] for other in before}
    read |= {model: models[model] for model in made if models[model].get("training")}
    for other, section in read.items():
        same_fold = "fold" in section and rows_folder(project, section) == rows_folder(project, run)
        if section["dataset"] == run["dataset"] and {*section["parts"]} & {*run["parts"]} and not same_fold:
            return other
    return None
