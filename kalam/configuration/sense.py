"""What a schema cannot say: names that do not exist, parts that nothing uses, sums that do not fit."""

from collections.abc import Iterator
from typing import Any

BEST, LOWEST = "best", "lowest"


def registers(project: dict[str, Any]) -> list[str]:
    """The registers of the project's sources, in their order."""
    return list(dict.fromkeys(source["register"] for source in project["sources"].values()))


def candidates(project: dict[str, Any]) -> list[str]:
    """The models under comparison."""
    return project["candidates"].get("models", list(project["models"]))


def candidate_registers(project: dict[str, Any]) -> list[str]:
    """The registers the candidates are compared on: as set, else the first run's, else all."""
    trained_on = [run["registers"] for run in project["runs"].values()]
    return project["candidates"].get("registers", trained_on[0] if trained_on else registers(project))


def contradictions(project: dict[str, Any]) -> Iterator[str]:
    """Each thing that cannot be meant, as `key: what was found; what is allowed`."""
    yield from _registers(project)
    yield from _bases(project)
    yield from _numbers(project)


def clashes(projects: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Model names that come about by different rules in different projects."""
    first: dict[str, tuple[str, bool]] = {}
    for project, section in projects.items():
        for name, model in section["models"].items():
            other, made_here = first.setdefault(name, (project, model["kind"] == "scratch"))
            if made_here != (model["kind"] == "scratch"):
                yield (
                    f"projects.{project}.models.{name}.kind: found {model['kind']}, while {other} has a model of this "
                    "name that comes about otherwise; allowed is another name"
                )


def _registers(project: dict[str, Any]) -> Iterator[str]:
    known = registers(project)
    using = {f"models.{name}": model for name, model in project["models"].items() if "registers" in model}
    using |= {f"runs.{name}": run for name, run in project["runs"].items()}
    if "registers" in project["candidates"]:
        using["candidates"] = project["candidates"]
    for path, section in using.items():
        for register in section["registers"]:
            if register not in known:
                yield f"{path}.registers: found {register}, which no source has; allowed are {', '.join(known)}"
    used = {register for section in using.values() for register in section["registers"]}
    for name, source in project["sources"].items():
        if using and source["register"] not in used:
            yield (
                f"sources.{name}.register: found {source['register']}, which no model, run or candidate uses; "
                f"used are {', '.join(sorted(used))}"
            )


def _bases(project: dict[str, Any]) -> Iterator[str]:
    models = list(project["models"])
    for name in (BEST, LOWEST):
        if name in models:
            yield f"models: found {name}, which stands for the choice among the candidates; allowed is any other name"
    for name in project["candidates"].get("models", []):
        if name not in models:
            yield f"candidates.models: found {name}, which is no model; allowed are {', '.join(models) or 'none'}"
    choice, choices = project["candidates"]["choice"], [LOWEST, *candidates(project)]
    if choice not in choices:
        yield f"candidates.choice: found {choice}; allowed are {', '.join(choices)}"
    bases = [BEST, *models] if models else []
    for name, run in project["runs"].items():
        if run["base"] not in bases:
            yield f"runs.{name}.base: found {run['base']}, which is no model; allowed are {', '.join(bases) or 'none'}"


def _numbers(project: dict[str, Any]) -> Iterator[str]:
    for kind in ("models", "runs"):
        for name, section in project[kind].items():
            training = section.get("training")
            if training and training["batch"] % training["micro_batch"]:
                yield (
                    f"{kind}.{name}.training.micro_batch: found {training['micro_batch']}; "
                    f"allowed are divisors of batch, {training['batch']}"
                )
    evaluation, splits = project["evaluation"], project["splits"]
    if evaluation["stride"] > evaluation["context"]:
        yield f"evaluation.stride: found {evaluation['stride']}; allowed is up to context, {evaluation['context']}"
    for split, size in splits.items():
        if size >= 1 and size != int(size):
            yield f"splits.{split}: found {size:g}; allowed is a share below 1 or a whole number of documents"
    shares = [share for share in (splits["validation"], splits["test"]) if share < 1]
    if sum(shares) >= 1:
        yield f"splits: validation and test take {sum(shares):g} of each register; allowed is less than 1"
