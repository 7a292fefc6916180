"""What a schema cannot say: names that do not exist, origins that are two or none, sums that do not fit."""

import logging
from collections.abc import Iterator
from typing import Any

from kalam.configuration import cross_validation
from kalam.configuration.datasets import FIELDS, MADE_OF_ROWS, PART, SOURCES
from kalam.configuration.project import LOWEST, bases_of, candidates, runs_before
from kalam.configuration.tasks import BEST, tasks

logger = logging.getLogger(__name__)

BYTES = 260  # the least vocabulary of a byte-level tokenizer


def contradictions(project: dict[str, Any]) -> Iterator[str]:
    """Each thing that cannot be meant, as `key: what was found; what is allowed`; of a project whose datasets are
    settled."""
    yield from _sources(project)
    yield from _bases(project)
    yield from _weights(project)
    yield from cross_validation.objections(project)
    yield from _numbers(project)


def _sources(project: dict[str, Any]) -> Iterator[str]:
    """Sources that name two origins or none, or that cannot hold such rows; of a register that nothing is made of, only
    a word, as it is measured."""
    using = [*(model for model in project["models"].values() if model["kind"] in MADE_OF_ROWS)]
    using += [*project["runs"].values(), *[project["candidates"]] * bool(candidates(project))]
    for name, dataset in project["datasets"].items():
        column = PART[dataset["rows"]]
        used = {part for section in using if section.get("dataset") == name for part in section["parts"]}
        for source, settings in dataset["sources"].items():
            if project["runs"] and settings[column] not in used:
                path = f"datasets.{name}.sources.{source}.{column}"
                logger.warning("config: %s: found %s; models are tested on it, none is trained", path, settings[column])
            if settings["kind"] not in (kinds := SOURCES[dataset["rows"]]):
                found, allowed = settings["kind"], f"for {dataset['rows']} are {', '.join(kinds)}"
                yield f"datasets.{name}.sources.{source}.kind: found {found}; allowed {allowed}"
            others = {field for rows, fields in FIELDS.items() if rows != dataset["rows"] for field in fields}
            if wrong := sorted(others & settings.get("fields", {}).keys()):
                allowed = f"for {dataset['rows']} are {', '.join(FIELDS[dataset['rows']])} and those of all rows"
                yield f"datasets.{name}.sources.{source}.fields: found {wrong[0]}; allowed {allowed}"
            if settings["kind"] == "splits" and (settings["folder"] is None) == (settings["dataset"] is None):
                yield f"datasets.{name}.sources.{source}: found folder and dataset, or neither; allowed is one of them"
            if settings.get("document") == "line" and settings["title"] != "none":
                found = settings["title"]
                yield f"datasets.{name}.sources.{source}.title: found {found}; allowed is none where document is line"
            if settings["kind"] == "splits" and settings["dataset"] and not settings["revision"]:
                yield f"datasets.{name}.sources.{source}: missing key revision"


def _weights(project: dict[str, Any]) -> Iterator[str]:
    for name, run in project["runs"].items():
        for part in run["weights"].keys() - {*run["parts"]}:
            yield f"runs.{name}.weights: found {part}; allowed are its parts {', '.join(run['parts'])}"


def _bases(project: dict[str, Any]) -> Iterator[str]:
    models = list(project["models"])
    for name in {BEST, LOWEST} & {*models, *project["runs"]}:
        yield f"{'models' if name in models else 'runs'}: found {name}, a word of the settings; allowed is another name"
    for name, model in project["models"].items():
        if model["kind"] == "extended":
            yield from _extension(project, name)
    for name in project["runs"]:
        if name in models:
            yield f"runs.{name}: found the name of a model; allowed is any other name"
    for name in project["candidates"].get("models", []):
        if name not in models:
            yield f"candidates.models: found {name}, which is no model; allowed are {', '.join(models) or 'none'}"
        elif not tasks()[project["models"][name]["task"]].candidates:
            found = project["models"][name]["task"]
            yield f"candidates.models: found {name}, whose task is {found}; allowed are tasks with candidates"
    choice, choices = project["candidates"]["choice"], [LOWEST, *candidates(project)]
    if choice not in choices:
        yield f"candidates.choice: found {choice}; allowed are {', '.join(choices)}"
    for name, run in project["runs"].items():
        before, bases = runs_before(project["runs"], name), bases_of(project, name)
        if several := [other for other in bases if other.startswith(f"{run['base']}.")]:
            yield f"runs.{name}.base: found {run['base']}, which is several runs; allowed is one: {', '.join(several)}"
            continue
        if run["base"] not in bases:
            allowed = ", ".join(bases) or "none"
            yield f"runs.{name}.base: found {run['base']}; allowed where the task is {run['task']} are {allowed}"
            continue
        if name in before:
            yield f"runs.{name}.base: found {run['base']}, which itself begins with {name}; allowed is no circle"
            continue
        yield from _continuation(project, name)


def _extension(project: dict[str, Any], name: str) -> Iterator[str]:
    """What an extended model must share with its base."""
    models, model = project["models"], project["models"][name]
    others = [other for other in models if models[other]["kind"] != "extended"]
    if model["base"] not in others:
        allowed = ", ".join(others) or "none"
        yield f"models.{name}.base: found {model['base']}; allowed are models that are not extended: {allowed}"
    elif models[model["base"]]["task"] != model["task"]:
        yield f"models.{name}.task: found {model['task']}; allowed is {models[model['base']]['task']}, that of its base"


def _continuation(project: dict[str, Any], name: str) -> Iterator[str]:
    """What a run must share with what it begins with."""
    run = project["runs"][name]
    if run["tuning"] == "full" and run["quantisation"] != "none":
        yield f"runs.{name}.quantisation: found {run['quantisation']}; allowed is none where every weight is trained"
    if run["tuning"] == "lora" and run["lora"]["initialisation"] == "orthogonal" and run["lora"]["rank"] % 2:
        yield f"runs.{name}.lora.rank: found {run['lora']['rank']}; allowed is an even one for an orthogonal adapter"
    if run["base"] not in project["runs"]:
        return
    base = project["runs"][run["base"]]
    if run["quantisation"] != base["quantisation"]:
        found, allowed = run["quantisation"], base["quantisation"]
        yield f"runs.{name}.quantisation: found {found}; allowed is {allowed}, as in {run['base']}, its base"
    if {run["tuning"], base["tuning"]} == {"lora"}:
        for key in [key for key in run["lora"] if key != "dropout" and run["lora"][key] != base["lora"][key]]:
            found, allowed = run["lora"][key], base["lora"][key]
            yield f"runs.{name}.lora.{key}: found {found}; allowed is {allowed}, as in {run['base']}, its base"


def _numbers(project: dict[str, Any]) -> Iterator[str]:
    for kind in ("models", "runs"):
        for name, section in project[kind].items():
            training = section.get("training")
            if training and (training["steps"] is None) == (training["epochs"] is None):
                found = f"steps {training['steps']} and epochs {training['epochs']}"
                yield f"{kind}.{name}.training: found {found}; allowed is one of them"
            if training:
                yield from _warmup(f"{kind}.{name}.training", training)
            tokenizer = section.get("tokenizer")
            if tokenizer and tokenizer["kind"] != (wanted := tasks()[section["task"]].tokenizer):
                yield (
                    f"{kind}.{name}.tokenizer.kind: found {tokenizer['kind']}; "
                    f"allowed is {wanted} where the task is {section['task']}"
                )
            if tokenizer and tokenizer["kind"] == "bytes" and tokenizer["vocabulary"] < BYTES:
                yield (
                    f"{kind}.{name}.tokenizer.vocabulary: found {tokenizer['vocabulary']}; "
                    f"allowed are {BYTES} and more where the kind is bytes"
                )
    evaluation = project["evaluation"]
    if evaluation["stride"] > evaluation["context"]:
        yield f"evaluation.stride: found {evaluation['stride']}; allowed is up to context, {evaluation['context']}"
    for name, dataset in project["datasets"].items():
        splits, cleaning = dataset["splits"], dataset["cleaning"]
        for key in [key for key in cleaning if key.startswith("min_")]:
            most = cleaning.get(key.replace("min_", "max_", 1))
            if most is not None and cleaning[key] > most:
                found, allowed = f"found {cleaning[key]}", f"allowed are up to {key.replace('min_', 'max_', 1)}, {most}"
                yield f"datasets.{name}.cleaning.{key}: {found}; {allowed}"
        for split, size in splits.items():
            if size >= 1 and size != int(size):
                yield f"datasets.{name}.splits.{split}: found {size:g}; allowed is a share below 1 or a whole number"
        shares = [share for share in (splits["validation"], splits["test"]) if share < 1]
        if sum(shares) >= 1:
            yield (
                f"datasets.{name}.splits: validation and test take {sum(shares):g} of each part; allowed is less than 1"
            )


def _warmup(path: str, training: dict[str, Any]) -> Iterator[str]:
    warmup, steps = training["warmup"], training["steps"]
    if warmup >= 1 and warmup != int(warmup):
        yield f"{path}.warmup: found {warmup:g}; allowed is a share below 1 or a whole number of steps"
    elif steps and warmup > steps:
        yield f"{path}.warmup: found {warmup:g}; allowed are up to {steps}, the steps, or a share of them below 1"
