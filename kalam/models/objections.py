"""What cannot be trained, found in the configuration when the workflow is put together, before any job.

transformers' own configurations are asked, in a process that does without torch: so it starts in less
than a second, and this one loads neither. What they say is kept for the next plan.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kalam.configuration.project import LOWEST, candidates, root
from kalam.configuration.tasks import BEST
from kalam.files.cache import recall, remember
from kalam.files.code import ROOT, digest_code
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.text.tokens import FIRST_PIECES, PAD

Findings = dict[str, Any]  # faults: lines; positions: the longest window, None where nobody knows
Question = tuple[dict[str, Any], int | None]  # as `answer` takes them
NOTHING: Findings = {"faults": [], "positions": None}
ANSWERS: dict[str, Findings] = {}  # by question, as JSON


def require_trainable(projects: dict[str, dict[str, Any]]) -> None:
    """Raise InputError where a project of the configuration has what cannot be trained; all are asked about at once."""
    ask([question for project in projects.values() for question in _questions(project)])
    for name, project in projects.items():
        for message in training_objections(project):
            raise InputError(f"config: projects.{name}.{message}")


def training_objections(project: dict[str, Any]) -> Iterator[str]:
    """Models and runs of a project that cannot be trained as configured, as `key: what was found; what is allowed`.

    Of hub models nothing is known yet. Raises InputError for a local model whose config.json is no JSON.
    """
    for name, model in project["models"].items():
        if model["kind"] == "scratch":
            context = (model["training"] or {}).get("context")
            for line in architecture_objections(model["architecture"], context, _pad(model)):
                yield f"models.{name}.{line}"
        for fault in _examined(project, name)["faults"] if model["kind"] == "local" else ():
            yield f"models.{name}.path: {model['path']}/config.json: {fault.lstrip('.: ')}"
    for kind in ("models", "runs"):
        for name, section in project[kind].items():
            training = section.get("training") or {}
            if training.get("parallel") != "fsdp":
                continue
            if training["precision"] == "fp16":
                yield f"{kind}.{name}.training.precision: found fp16; allowed with fsdp are auto, bf16 and fp32"
            if training["optimiser"] == "muon":
                yield f"{kind}.{name}.training.optimiser: found muon; allowed with fsdp is adamw"
    for name, run in project["runs"].items():
        for model in _bases(project, name):
            for line in _beyond(run["training"]["context"], _examined(project, model)["positions"], model):
                yield f"runs.{name}.{line}"


def architecture_objections(
    architecture: dict[str, Any], context: int | None = None, pad: int = FIRST_PIECES["unigram"].index(PAD)
) -> Iterator[str]:
    """Why no model of this architecture can be made here, or trained on windows of `context` tokens.

    `pad` is the id of the padding token, by default that of a tokenizer for masked models. Where transformers
    is not installed there is nothing to say.
    """
    findings = ask([(architecture, pad)])[0]
    yield from (f"architecture{fault}" for fault in findings["faults"])
    yield from _beyond(context, findings["positions"], architecture["model_type"])


def _beyond(context: int | None, positions: int | None, whose: str) -> Iterator[str]:
    if context and positions is not None and context > positions:
        yield f"training.context: found {context}; allowed are up to {positions} tokens, the positions of {whose}"


def _pad(model: dict[str, Any]) -> int:
    return FIRST_PIECES[model["tokenizer"]["kind"]].index(PAD)


def _bases(project: dict[str, Any], run: str) -> list[str]:
    """The models that a run may turn out to begin with."""
    base, choice = root(project["runs"], run), project["candidates"]["choice"]
    if base != BEST:
        return [base]
    return candidates(project) if choice == LOWEST else [choice]


def _question(project: dict[str, Any], name: str) -> Question | None:
    """What to ask about a model of a project; None of one that is not here yet."""
    model = project["models"].get(name, {"kind": "unknown"})
    if model["kind"] == "extended":
        return _question(project, model["base"])
    if model["kind"] == "scratch":
        return model["architecture"], _pad(model)
    file = Path(model.get("path", "")) / "config.json"
    settings = read_json(file) if model["kind"] == "local" and file.is_file() else None
    if settings is not None and not isinstance(settings, dict):
        raise InputError(f"{file}: found {type(settings).__name__}; allowed is a JSON object")
    return settings and (settings, None)


def _questions(project: dict[str, Any]) -> list[Question]:
    return [question for name in project["models"] if (question := _question(project, name))]


def _examined(project: dict[str, Any], name: str) -> Findings:
    """What is known of a model of a project."""
    question = _question(project, name)
    return ask([question])[0] if question else NOTHING


def ask(questions: list[Question]) -> list[Findings]:
    """What transformers says of some architectures; where it is not installed, nothing."""
    lines = [json.dumps(question, default=str) for question in questions]  # YAML has dates, JSON has none
    if not find_spec("transformers"):
        return [NOTHING] * len(lines)
    new = [line for line in dict.fromkeys(lines) if not _known(line)]
    if new:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        environment |= {"TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}  # that there is no torch
        command = [sys.executable, "-m", "kalam.models.objections"]
        told = {"input": "\n".join(new), "env": environment, "stdout": subprocess.PIPE, "text": True}
        done = subprocess.run(command, check=True, **told)
        for line, found in zip(new, map(json.loads, done.stdout.splitlines()), strict=True):
            ANSWERS[line] = found
            remember("objections", _answerer() + line, found)
    return [ANSWERS[line] for line in lines]


def _known(line: str) -> bool:
    """Whether a question has been answered, by this process or by an earlier one."""
    if line not in ANSWERS and (found := recall("objections", _answerer() + line)):
        ANSWERS[line] = found
    return line in ANSWERS


@cache
def _answerer() -> str:
    """What an answer follows from beside the question: the libraries that are asked, and the code that asks them."""
    return " ".join([version("transformers"), version("huggingface_hub"), digest_code(__file__), ""])


def answer(settings: dict[str, Any], pad: int | None) -> Findings:
    """What transformers says of an architecture that is made here, with this padding token, or, where `pad` is None,
    of another model's config.json."""
    from kalam.models.architecture import configuration, unknown_settings
    from kalam.models.positions import positions_of

    here = {} if pad is None else {"pad_token_id": pad}
    try:
        unknown = list(unknown_settings(settings)) if here else []
        config, faults = (None, unknown) if unknown else configuration({**settings, **here})
        return {"faults": faults, "positions": config and positions_of(config)}
    except Exception as error:  # a configuration class may trip over a value in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return {"faults": [f": found what transformers cannot read: {reason}"], "positions": None}


if __name__ == "__main__":
    sys.modules["torch"] = None  # as if it were not installed: a configuration does not need it
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))))
