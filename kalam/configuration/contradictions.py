"""What a schema cannot say: names that do not exist, parts that nothing uses, sums that do not fit."""

from collections.abc import Iterator
from typing import Any

from kalam.configuration.project import (
    BEST,
    CAUSAL,
    LOWEST,
    MASKED,
    candidates,
    registers,
    runs_before,
)

TAKEN = {BEST, LOWEST, "base", "floor", "floor_base"}  # what tables and settings call something else
# A masked model needs a mask, a causal one to lose no line break.
TOKENIZERS = {CAUSAL: "bytes", MASKED: "unigram"}
FETCHED = "fetched"
BYTES = 260  # the least vocabulary of a byte-level tokenizer


def contradictions(project: dict[str, Any]) -> Iterator[str]:
    """Each thing that cannot be meant, as `key: what was found; what is allowed`."""
    yield from _registers(project)
    yield from _bases(project)
    yield from _numbers(project)


def clashes(projects: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Model names that come about by different rules in different projects."""
    first: dict[str, tuple[str, str]] = {}
    for project, section in projects.items():
        for name, model in section["models"].items():
            origin = FETCHED if model["kind"] in ("hub", "local") else model["kind"]
            other, before = first.setdefault(name, (project, origin))
            if before != origin:
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
    for name in sorted(TAKEN & {*models}):
        yield f"models: found {name}, which has a meaning of its own; allowed is any other name"
    for name, model in project["models"].items():
        if model["kind"] == "extended":
            yield from _extension(project, name)
    for name in project["runs"]:
        if name in models:
            yield f"runs.{name}: found the name of a model; allowed is any other name"
    for name in project["candidates"].get("models", []):
        if name not in models:
            yield f"candidates.models: found {name}, which is no model; allowed are {', '.join(models) or 'none'}"
        elif project["models"][name]["task"] != CAUSAL:
            yield f"candidates.models: found {name}, which is no causal model; bits per byte compare causal ones only"
    choice, choices = project["candidates"]["choice"], [LOWEST, *candidates(project)]
    if choice not in choices:
        yield f"candidates.choice: found {choice}; allowed are {', '.join(choices)}"
    for name, run in project["runs"].items():
        before = runs_before(project["runs"], name)
        bases = [BEST] * bool(candidates(project)) + models + [other for other in project["runs"] if other != name]
        if run["base"] not in bases:
            allowed = ", ".join(bases) or "none"
            yield f"runs.{name}.base: found {run['base']}, which is no model and no run; allowed are {allowed}"
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
    base = {**project["models"], **project["runs"]}.get(run["base"], {"task": CAUSAL})
    if base["task"] != run["task"]:
        yield f"runs.{name}.task: found {run['task']}; allowed is {base['task']}, that of its base {run['base']}"
    if run["tuning"] == "full" and run["quantisation"] != "none":
        yield f"runs.{name}.quantisation: found {run['quantisation']}; allowed is none where every weight is trained"
    if run["tuning"] == "lora" and run["lora"]["initialisation"] == "orthogonal" and run["lora"]["rank"] % 2:
        yield f"runs.{name}.lora.rank: found {run['lora']['rank']}; allowed is an even one for an orthogonal adapter"
    if run["base"] not in project["runs"]:
        return
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
            tokenizer = section.get("tokenizer")
            if tokenizer and tokenizer["kind"] != TOKENIZERS[section["task"]]:
                yield (
                    f"{kind}.{name}.tokenizer.kind: found {tokenizer['kind']}; "
                    f"allowed is {TOKENIZERS[section['task']]} where the task is {section['task']}"
                )
            if tokenizer and tokenizer["kind"] == "bytes" and tokenizer["vocabulary"] < BYTES:
                yield (
                    f"{kind}.{name}.tokenizer.vocabulary: found {tokenizer['vocabulary']}; "
                    f"allowed are {BYTES} and more where the kind is bytes"
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
