"""What follows from a project's section of the configuration: its candidates, runs and exports."""

from typing import Any

from kalam.configuration.datasets import parts
from kalam.configuration.tasks import BEST, tasks

LOWEST = "lowest"


def candidates(project: dict[str, Any]) -> list[str]:
    """The models under comparison: as set, else every one that can be compared."""
    comparable = [name for name, model in project["models"].items() if tasks()[model["task"]].candidates]
    return project["candidates"].get("models", comparable)


def bases_of(project: dict[str, Any], run: str) -> list[str]:
    """What a run may begin with, by its task's row: `best`, models, other runs."""
    allowed = tasks()[project["runs"][run]["task"]].begins_with
    found = [BEST] if BEST in allowed and candidates(project) else []
    for part in ("models", "runs"):
        found += [name for name, section in project[part].items() if section["task"] in allowed and name != run]
    return found


def runs_of(project: dict[str, Any], task: str) -> list[str]:
    """The runs of a project that do this task."""
    return [name for name, run in project["runs"].items() if run["task"] == task]


def runs_in_order(project: dict[str, Any]) -> list[str]:
    """The runs of a project as its pages have them: by the order of the tasks, then as they are configured."""
    order = list(tasks())
    return sorted(project["runs"], key=lambda name: order.index(project["runs"][name]["task"]))


def runs_before(runs: dict[str, Any], name: str) -> list[str]:
    """The runs that a run begins with, the nearest first; a circle ends where it closes."""
    before = []
    while (name := runs[name]["base"]) in runs and name not in before:
        before.append(name)
    return before


def root(runs: dict[str, Any], name: str) -> str:
    """What the first run of a chain began with: a model's name or `best`."""
    return runs[[name, *runs_before(runs, name)][-1]]["base"]


def compared_models(project: dict[str, Any]) -> list[str]:
    """The candidates of a project and the other models that can be compared and that runs begin with."""
    bases = [run["base"] for run in project["runs"].values() if run["base"] in project["models"]]
    comparable = [name for name in bases if tasks()[project["models"][name]["task"]].candidates]
    return list(dict.fromkeys([*candidates(project), *comparable]))


def floor_parts(project: dict[str, Any], run: str) -> dict[str, list[str]]:
    """The parts of a run's dataset that its two floors have read: what its base has read (`floor_base`), and that
    with what the run reads (`floor`).

    What a hub's model has read nobody knows: the dataset's other parts stand for it, or all of them where the
    run reads them all.
    """
    runs = project["runs"]
    task, dataset, trained = (runs[run][key] for key in ("task", "dataset", "parts"))
    earlier = [name for other in runs_before(runs, run) for name in runs[other]["parts"]]
    pretrained = [
        name
        for model in project["models"].values()
        if model["kind"] == "scratch" and model["task"] == task and model["training"]
        for name in model["parts"]
    ]
    every = parts(project["datasets"][dataset])
    before = pretrained or [name for name in every if name not in trained]
    return {
        "floor_base": sorted({*before, *earlier} or every),
        "floor": sorted({*before, *earlier, *trained}),
    }


def exported_runs(project: dict[str, Any]) -> list[str]:
    """The runs of a project that are exported."""
    return project.get("exports", {}).get("runs", [])


def export_kinds(project: dict[str, Any]) -> list[str]:
    """What is exported of each run as GGUF, by the middle of the file's name."""
    exports = project["exports"]
    return ["f32", *exports["quantisations"], *["adapter"] * exports["adapter"]]


def leads_to_export(project: dict[str, Any], name: str) -> bool:
    """Whether a run is exported, or one that begins with it."""
    runs = project["runs"]
    return any(name in (run, *runs_before(runs, run)) for run in exported_runs(project))


def exports_best(project: dict[str, Any]) -> bool:
    """Whether a run that is exported began with the best candidate, which therefore has to be convertible."""
    return any(root(project["runs"], name) == BEST for name in exported_runs(project))
