"""A configuration that cannot be meant is refused before any job, in one line that says what is allowed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pipeline import ROOT, SMALL, Outcome, Project, select_texts

from kalam.configuration.resolve import load_schema, resolve
from kalam.data.inputs import source_inputs
from kalam.export.convertible import require_exportable
from kalam.files.errors import InputError
from kalam.models.objections import require_trainable

Section = dict[str, Any]


def setting(path: str, value: Any) -> Callable[[Section], None]:
    """A change to the project's section: the setting at a dotted path."""

    def change(section: Section) -> None:
        *parents, last = path.split(".")
        for key in parents:
            section = section.setdefault(key, {})
        section[last] = value

    return change


def without(path: str) -> Callable[[Section], None]:
    def change(section: Section) -> None:
        *parents, last = path.split(".")
        for key in parents:
            section = section[key]
        del section[last]

    return change


def together(*changes: Callable[[Section], None]) -> Callable[[Section], None]:
    def change(section: Section) -> None:
        for one in changes:
            one(section)

    return change


WRONG = {
    "unknown key of a project": (
        setting("modells", {}),
        "projects.bangla: unknown key modells; allowed are cand",
    ),
    "unknown key of a source": (
        setting("datasets.text.sources.everyday.path", "x"),
        "projects.bangla.datasets.text.sources.everyday: unknown key path; allowed are author",
    ),
    "key of another kind of source": (
        setting("datasets.text.sources.everyday.start", ["http://x.example/"]),
        "projects.bangla.datasets.text.sources.everyday: found start; allowed only where kind is site",
    ),
    "unknown key of a training": (
        setting("models.llama.training.stepz", 5),
        "projects.bangla.models.llama.training: unknown key stepz; allowed are batch",
    ),
    "unknown kind": (
        setting("models.llama.kind", "loca"),
        "projects.bangla.models.llama.kind: found 'loca'; allowed is one of extended, hub, local, scratch",
    ),
    "wrong type": (
        setting("runs.adapt.training.steps", "many"),
        "projects.bangla.runs.adapt.training.steps: found 'many'; allowed is a value of type integer",
    ),
    "wrong type in a source": (
        setting("datasets.text.sources.poems.paths", "poems/*.txt"),
        "projects.bangla.datasets.text.sources.poems.paths: found 'poems/*.txt'; allowed is a value of type array",
    ),
    "number written as text": (
        setting("runs.adapt.training.learning_rate", "4e-3"),
        "projects.bangla.runs.adapt.training.learning_rate: found '4e-3'; allowed is a value of type number",
    ),
    "too small": (
        setting("runs.adapt.lora", {"rank": 0}),
        "projects.bangla.runs.adapt.lora.rank: found 0; allowed is 1 or more",
    ),
    "too large": (
        setting("datasets.text.cleaning", {"min_script_fraction": 2}),
        "projects.bangla.datasets.text.cleaning.min_script_fraction: found 2; allowed is 1 or less",
    ),
    "empty": (
        setting("datasets.text.sources", {}),
        "projects.bangla.datasets.text.sources: found {}; allowed is at least one entry",
    ),
    "nothing": (
        setting("datasets.text.splits", None),
        "projects.bangla.datasets.text.splits: found None; allowed is a value of type object",
    ),
    "missing key": (without("runs.adapt.training"), "projects.bangla.runs.adapt: missing key training"),
    "unknown language": (
        setting("language", "xx"),
        "projects.bangla.language: found 'xx'; allowed is one of",
    ),
    "unknown field": (
        setting("datasets.text.sources.everyday.fields", {"txt": "body"}),
        "projects.bangla.datasets.text.sources.everyday.fields: found 'txt'; allowed is one of answer, author, group",
    ),
    "name with a capital": (
        setting("runs", {"Adapt": {}}),
        "projects.bangla.runs: found 'Adapt'; allowed is text of the form",
    ),
    "base that does not exist": (
        setting("runs.adapt.base", "lama"),
        "projects.bangla.runs.adapt.base: found lama; allowed where the task is causal are best, llama, xglm",
    ),
    "choice that is no candidate": (
        setting("candidates.choice", "lama"),
        "projects.bangla.candidates.choice: found lama; allowed are lowest, llama, xglm",
    ),
    "choice of a model that does not compete": (
        setting("candidates", {"models": ["llama"], "choice": "xglm"}),
        "projects.bangla.candidates.choice: found xglm; allowed are lowest, llama",
    ),
    "candidate that does not exist": (
        setting("candidates.models", ["lama"]),
        "projects.bangla.candidates.models: found lama, which is no model; allowed are llama, xglm",
    ),
    "model called best": (
        lambda section: section["models"].update(best=section["models"]["llama"]),
        "projects.bangla.models: found best",
    ),
    "register that no source has": (
        setting("runs.adapt.parts", ["song"]),
        "projects.bangla.runs.adapt.parts: found song, which is no register of a source; allowed are prose, verse",
    ),
    "steps and epochs": (
        setting("runs.adapt.training.epochs", 3),
        "projects.bangla.runs.adapt.training: found steps 16 and epochs 3; allowed is one of them",
    ),
    "run that goes on with itself": (
        setting("runs.adapt.base", "adapt"),
        "projects.bangla.runs.adapt.base: found adapt; allowed where the task is causal are best, llama, xglm",
    ),
    "architecture that nobody knows": (
        setting("models.llama.architecture.model_type", "lama"),
        "projects.bangla.models.llama.architecture.model_type: found lama; allowed are those of transformers",
    ),
    "setting that the architecture does not have": (
        setting("models.llama.architecture.hiden_size", 64),
        "projects.bangla.models.llama.architecture.hiden_size: found a setting that llama does not have; allowed",
    ),
    "heads that do not divide": (
        setting("models.llama.architecture.num_attention_heads", 3),
        "projects.bangla.models.llama.architecture: llama in transformers refuses it: The hidden size (64) is not a",
    ),
    "context beyond the positions of every candidate": (
        setting("runs.adapt.training.context", 4096),
        "projects.bangla.runs.adapt.training.context: found 4096; allowed are up to 1024 tokens",
    ),
    "parts of a model in half precision": (
        together(setting("runs.adapt.training.parallel", "fsdp"), setting("runs.adapt.training.precision", "fp16")),
        "projects.bangla.runs.adapt.training.precision: found fp16; allowed with fsdp are auto, bf16 and fp32",
    ),
    "stride above the context": (
        setting("evaluation.stride", 512),
        "projects.bangla.evaluation.stride: found 512; allowed is up to context, 256",
    ),
    "splits that leave nothing": (
        setting("datasets.text.splits", {"validation": 0.5, "test": 0.5}),
        "projects.bangla.datasets.text.splits: validation and test take 1 of each part; allowed is less than 1",
    ),
    "export of a run that is none": (
        setting("exports", {"runs": ["adopt"]}),
        "projects.bangla.exports.runs: found adopt; allowed are the runs of tasks that can be exported: adapt",
    ),
    "export of a base that llama.cpp does not have": (
        together(setting("exports", {"runs": ["adapt"]}), setting("runs.adapt.base", "xglm")),
        "projects.bangla.exports.runs: found adapt, whose base cannot be converted (xglm: llama.cpp has no xglm",
    ),
    "choice of a candidate that llama.cpp does not have": (
        together(setting("exports", {"runs": ["adapt"]}), setting("candidates.choice", "xglm")),
        "projects.bangla.exports.runs: found adapt, whose base cannot be converted (xglm: llama.cpp has no xglm",
    ),
    "half a document": (
        setting("datasets.text.splits.test", 2.5),
        "projects.bangla.datasets.text.splits.test: found 2.5; allowed is a share below 1 or a whole number",
    ),
}
COMMAND_LINE = {
    "bogus=1": "the top level: unknown key bogus; allowed are batch_size, data_dir, learning_rate, lora_rank",
    "lora_rank=four": "lora_rank: found 'four'; allowed is a value of type integer",
    "lora_rank=0": "lora_rank: found 0; allowed is 1 or more",
    "learning_rate=0": "learning_rate: found 0; allowed is more than 0",
    "steps=2.5": "steps: found 2.5; allowed is a value of type integer",
    "seed=-1": "seed: found -1; allowed is 0 or more",
    "micro_batch=0": "micro_batch: found 0; allowed is 1 or more",
    "num_epochs=0": "num_epochs: found 0; allowed is more than 0",
    "project=tamal": "project: found tamal; allowed are bangla",
    "projects=3": "projects: found 3; allowed is a value of type object",
}
GONE = {
    "glob without a file": (
        setting("datasets.text.sources.poems.paths", ["resources/bangla/poems/*.text"]),
        "projects.bangla.datasets.text.sources.poems.paths: 'resources/bangla/poems/*.text' matches no file",
    ),
    "one glob of two without a file": (
        setting("datasets.text.sources.poems.paths", ["resources/bangla/poems/*.txt", "resources/bangla/odes/*.txt"]),
        "projects.bangla.datasets.text.sources.poems.paths: 'resources/bangla/odes/*.txt' matches no file",
    ),
    "site that is not there": (
        setting("datasets.text.sources.site.serve", "resources/bangla/sites"),
        "projects.bangla.datasets.text.sources.site.serve: 'resources/bangla/sites' is no folder with files",
    ),
}


# One of each kind goes through Snakemake too: the schema, its settings against each other, exports, training.
IN_THE_WORKFLOW = (
    "unknown key of a project",
    "base that does not exist",
    "export of a base that llama.cpp does not have",
    "heads that do not divide",
)


def accept(config: dict[str, Any]) -> dict[str, Any]:
    """As rules/common.smk does."""
    config = resolve(config, load_schema(ROOT / "config/schema.yaml"))
    require_exportable(config["projects"])
    require_trainable(config["projects"])
    return config


def require_refused(line: str, config: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        accept(config)
    assert str(error.value).startswith(f"config: {line}")
    assert "\n" not in str(error.value)


def small(change: Callable[[Section], None] = lambda section: None) -> dict[str, Any]:
    section = json.loads(json.dumps(SMALL))  # without what its parts share
    change(section)
    return {"projects": {"bangla": section}}


def test_the_configuration_that_is_spoilt_here_is_accepted():
    accept(small())


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_refused(name):
    change, line = WRONG[name]
    require_refused(line, small(change))


@pytest.mark.parametrize("argument", COMMAND_LINE)
def test_a_wrong_setting_on_the_command_line_is_refused(argument):
    require_refused(COMMAND_LINE[argument], small() | yaml.safe_load(argument.replace("=", ": ")))


@pytest.mark.parametrize("name", GONE)
def test_sources_that_are_not_there_are_refused(name, tmp_path):
    """Named by the place in the source; rules/text.smk puts before it where the source stands."""
    change, line = GONE[name]
    select_texts(ROOT / "resources/bangla", tmp_path / "resources/bangla")
    sources = accept(small(change))["projects"]["bangla"]["datasets"]["text"]["sources"]
    (source,) = [source for source in sources if line.startswith(f"projects.bangla.datasets.text.sources.{source}.")]
    with pytest.raises(InputError) as error:
        source_inputs(sources[source], tmp_path)
    assert f"projects.bangla.datasets.text.sources.{source}.{error.value}" == line
    for other in sources.keys() - {source}:
        assert source_inputs(sources[other], tmp_path)


# --- in the workflow


def refused(project: Project, line: str, *arguments: str) -> Outcome:
    """Run Snakemake and check that it refuses: with this line, without a trace or a job, the results untouched."""
    before = project.digests()
    outcome = project.snakemake(*arguments)
    said = [text for text in outcome.output.splitlines() if text.startswith("config: ")]
    assert outcome.status == 1, outcome.output
    assert len(said) == 1, outcome.output
    assert said[0].startswith(f"config: {line}"), said[0]
    assert "Traceback" not in outcome.output
    assert "Error" not in outcome.output
    assert "Job stats" not in outcome.output
    assert project.digests() == before
    assert not list((project / ".snakemake/locks").glob("*")), "the folder stays locked"
    return outcome


@pytest.mark.parametrize("name", IN_THE_WORKFLOW)
def test_the_workflow_refuses_before_it_looks_at_any_file(finished_copy, name):
    change, line = WRONG[name]
    with finished_copy.changed() as section:
        change(section)
    outcome = refused(finished_copy, line)
    assert "Building DAG" not in outcome.output


@pytest.mark.parametrize("argument", ["steps=2.5", "projects=3"])
def test_the_workflow_refuses_what_the_command_line_says(finished_copy, argument):
    refused(finished_copy, COMMAND_LINE[argument], "--config", argument)


def test_old_results_of_a_source_that_is_not_there_are_no_excuse(finished_copy):
    change, line = GONE["one glob of two without a file"]
    with finished_copy.changed() as section:
        change(section)
    refused(finished_copy, line)


def test_sources_that_are_not_there_are_refused_at_the_first_run_too(project):
    with project.changed() as section:
        setting("datasets.text.sources.poems.paths", ["nothing/*.txt"])(section)
    refused(project, "projects.bangla.datasets.text.sources.poems.paths: 'nothing/*.txt' matches no file")


@pytest.mark.parametrize("name", ["runs/other/meta.json", "models/other/meta.json", "data/other/train.jsonl"])
def test_a_file_of_a_part_that_is_not_configured_has_no_rule(finished_copy, name):
    outcome = finished_copy.snakemake(f"results/bangla/{name}")
    assert outcome.status == 1
    assert f"No rule to produce results/bangla/{name}" in outcome.output
    assert "KeyError" not in outcome.output


@pytest.mark.parametrize("folder", ["sources", "clean"])
def test_a_file_of_a_source_that_is_not_configured_is_refused(finished_copy, folder):
    line = "projects.bangla.datasets.text.sources: missing key other, of which a file is wanted"
    refused(finished_copy, line, f"results/bangla/data/text/{folder}/other.jsonl")


def test_a_key_that_stands_twice_in_the_file_is_refused(project):
    file = project / "config/config.yaml"
    written = file.read_text(encoding="utf-8")
    file.write_text(f"{written}\nseed: 1\nseed: 2\n", encoding="utf-8")
    last = len(written.splitlines()) + 3
    refused(project, f"the top level: seed stands there twice (lines {last - 1} and {last}); allowed is once")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (
            "exports.txt",
            "missing key exports, of which exports.txt is made; allowed is exports: {runs: [...]}, with some",
        ),
        ("candidates.tsv", "missing key models, of which candidates.tsv is made; allowed is models: {...}, see config"),
        ("ppl.txt", "missing key runs, of which ppl.txt is made; allowed is runs: {...}, see config/README.md"),
    ],
)
def test_a_file_of_a_section_that_is_missing_is_refused_with_what_to_add(project, file, line):
    with project.changed() as section:
        for key in ("exports", "runs", "candidates", "models"):
            section.pop(key, None)
    refused(project, f"projects.bangla: {line}", f"results/bangla/{file}")
