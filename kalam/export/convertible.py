"""Whether a model, or a project of the configuration, can be exported: asked before anything is trained."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kalam.configuration.project import LOWEST, candidates, exported_runs, root
from kalam.configuration.tasks import BEST, tasks
from kalam.export.architectures import adapter_objection, architecture_objection
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json


def folder_objection(folder: str | Path) -> str | None:
    """Why the model in a folder under `results/` cannot be exported; None where it can."""
    # `kind` is in the meta.json of a hub's model, a local folder's and one with an extended tokenizer.
    tokenizer_trained_here = read_json(Path(folder) / "meta.json").get("kind") is None
    return architecture_objection(read_json(Path(folder) / "config.json"), tokenizer_trained_here)


def require_convertible(folder: str | Path) -> None:
    """Raise InputError where the model in a folder cannot be exported."""
    if reason := folder_objection(folder):
        raise InputError(f"{folder}: cannot be exported: {reason}")


def require_exportable(projects: dict[str, dict[str, Any]]) -> None:
    """Raise InputError where a project of the configuration exports what cannot be exported."""
    for name, project in projects.items():
        for message in export_contradictions(project):
            raise InputError(f"config: projects.{name}.{message}")


def export_contradictions(project: dict[str, Any]) -> Iterator[str]:
    """Runs that cannot be exported, as `key: what was found; what is allowed`."""
    exportable = [name for name, run in project["runs"].items() if tasks()[run["task"]].exports]
    for name in exported_runs(project):
        if name not in exportable:
            allowed = ", ".join(exportable) or "none"
            yield f"exports.runs: found {name}; allowed are the runs of tasks that can be exported: {allowed}"
            continue
        bases = possible_bases(project, name)
        if found := _found_in_all(bases, _model_objection):
            yield f"exports.runs: found {name}, whose base cannot be converted ({found}); allowed is another base"
        if not project["exports"]["adapter"]:
            continue
        if project["runs"][name]["tuning"] == "full":
            yield f"exports.adapter: found true, while {name} trains every weight; allowed is false"
        if found := _found_in_all(bases, lambda model: adapter_objection(architecture_settings(model))):
            yield f"exports.adapter: found true, while the base would be another ({found}); allowed is false"


def possible_bases(project: dict[str, Any], run: str) -> dict[str, dict[str, Any]]:
    """The models that a run may begin with, by name: one, or every candidate where the lowest is chosen of them."""
    base, choice = root(project["runs"], run), project["candidates"]["choice"]
    names = [base] if base != BEST else candidates(project) if choice == LOWEST else [choice]
    return {name: project["models"][name] for name in names}


def architecture_settings(model: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of a model's architecture, from its section of the configuration or the `config.json` of a local
    folder; None for a hub's model, which is not here before the first job."""
    if model["kind"] == "scratch":
        return model["architecture"]
    file = Path(model.get("path", "")) / "config.json"
    return read_json(file) if model["kind"] == "local" and file.is_file() else None


def _model_objection(model: dict[str, Any]) -> str | None:
    return architecture_objection(architecture_settings(model), model["kind"] == "scratch")


def _found_in_all(models: dict[str, dict[str, Any]], objection: Callable[[dict[str, Any]], str | None]) -> str:
    """The objections to the models where there is one to each; nothing where one of them will do."""
    reasons = {name: objection(model) for name, model in models.items()}
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) if all(reasons.values()) else ""
