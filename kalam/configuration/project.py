"""What follows from a project's section of the configuration: its registers, candidates, runs and exports."""

from typing import Any

BEST, LOWEST = "best", "lowest"
CAUSAL, MASKED = "causal", "masked"


def registers(project: dict[str, Any]) -> list[str]:
    """The registers of the project's sources, in their order."""
    return list(dict.fromkeys(source["register"] for source in project["sources"].values()))


def candidates(project: dict[str, Any]) -> list[str]:
    """The models under comparison: as set, else every causal one."""
    causal = [name for name, model in project["models"].items() if model["task"] == CAUSAL]
    return project["candidates"].get("models", causal)


def candidate_registers(project: dict[str, Any]) -> list[str]:
    """The registers the candidates are compared on: as set, else the first run's, else all."""
    trained_on = [run["registers"] for run in project["runs"].values() if run["task"] == CAUSAL]
    return project["candidates"].get("registers", trained_on[0] if trained_on else registers(project))


def runs_of(project: dict[str, Any], task: str) -> list[str]:
    """The runs of a project that do this task."""
    return [name for name, run in project["runs"].items() if run["task"] == task]


def runs_before(runs: dict[str, Any], name: str) -> list[str]:
    """The runs that a run begins with, the nearest first; a circle ends where it closes."""
    before = []
    while (name := runs[name]["base"]) in runs and name not in before:
        before.append(name)
    return before


def root(runs: dict[str, Any], name: str) -> str:
    """What the first of the runs behind a run began with: a model's name or `best`."""
    return runs[[name, *runs_before(runs, name)][-1]]["base"]


def compared_models(project: dict[str, Any]) -> list[str]:
    """The candidates of a project and the models that causal runs begin with."""
    bases = [project["runs"][name]["base"] for name in runs_of(project, CAUSAL)]
    models = [name for name in bases if name in project["models"]]
    return list(dict.fromkeys([*candidates(project), *models]))


def floor_registers(project: dict[str, Any], run: str) -> dict[str, list[str]]:
    """The registers of the two floors of a run: what its base has read (`base`), and that with what the run
    reads (`adapted`).

    What a hub's model has read nobody knows: the project's other registers stand for it, or all of
    them where the run reads them all.
    """
    runs = project["runs"]
    trained = runs[run]["registers"]
    earlier = [name for other in runs_before(runs, run) for name in runs[other]["registers"]]
    pretrained = [
        name
        for model in project["models"].values()
        if model["kind"] == "scratch" and model["task"] == CAUSAL and model["training"]
        for name in model["registers"]
    ]
    before = pretrained or [name for name in registers(project) if name not in trained]
    return {
        "base": sorted({*before, *earlier} or registers(project)),
        "adapted": sorted({*before, *earlier, *trained}),
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
