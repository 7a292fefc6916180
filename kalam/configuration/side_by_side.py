"""Which runs of a project stand in one table: those that answer for the same text in the same way."""

from functools import reduce
from typing import Any

from kalam.configuration.cross_validation import folded_runs
from kalam.configuration.project import candidates, runs_in_order
from kalam.configuration.tasks import tasks


def reported(project: dict[str, Any]) -> dict[str, list[str]]:
    """What has a report on the project's page, in its order, each with the runs behind it: a run, or all its folds."""
    folded, runs = folded_runs(project), project["runs"]
    names = dict.fromkeys(
        runs[name]["fold"]["run"] if "fold" in runs[name] else name for name in runs_in_order(project)
    )
    return {name: folded.get(name, [name]) for name in names}


def entries(project: dict[str, Any]) -> list[dict[str, Any]]:
    """What the project's page says of each run: its name, those behind it, what its own page shows, and whether there
    is a comparison of candidates that it belongs to."""
    compared, found = bool(candidates(project)), []
    for name, runs in reported(project).items():
        task = tasks()[project["runs"][runs[0]]["task"]]
        found.append({"run": name, "runs": runs, "page": task.page, "candidates": task.candidates and compared})
    return found


def side_by_side(project: dict[str, Any]) -> list[dict[str, Any]]:
    """Groups of two and more, each with the `measure` that they are compared in and the names of `runs`.

    They have a task, the text they are tested on, and what the row of the task wants `alike` in common.
    """
    groups: dict[tuple, list[str]] = {}
    for name, behind in reported(project).items():
        run = project["runs"][behind[0]]
        task = tasks()[run["task"]]
        if task.measure is not None:
            text = (run["dataset"], *sorted(run["parts"])) if "fold" in run else (run["dataset"],)
            settings = [reduce(dict.__getitem__, path.split("."), run) for path in task.alike]
            groups.setdefault((task.name, "fold" in run, *text, *settings), []).append(name)
    return [{"measure": tasks()[key[0]].measure, "runs": runs} for key, runs in groups.items() if len(runs) > 1]
