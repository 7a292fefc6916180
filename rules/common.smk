# What all rule files share: the checked configuration, digests of code, constraints of wildcards, the rows of a dataset.
# requires: config, config/schema.yaml, config/tasks.yaml, config/languages.yaml
# provides: config (complete), code(), within(), one_of(), rows(), in_shards(), shards_of(), setting(), language(),
#           without_braces(), digests_of_braced(), run_weights(), model_weights()

import logging
import re
from pathlib import Path

from kalam.configuration.cross_validation import rows_folder
from kalam.configuration.project import candidates, exported_runs, runs_of
from kalam.configuration.resolve import load_schema, resolve
from kalam.configuration.tasks import tasks
from kalam.configuration.written import require_well_written
from kalam.export.convertible import require_exportable
from kalam.files.code import digest_code
from kalam.files.digests import digest_file
from kalam.files.errors import InputError
from kalam.machine.devices import require_devices
from kalam.models.objections import require_trainable
from kalam.text.languages import language_row

ROOT = Path(workflow.basedir)
# Each job reads the configuration again, and would say again what it takes of it.
in_a_job = workflow.remote_exec or workflow.subprocess_exec
if in_a_job:
    logging.getLogger("kalam.configuration").setLevel(logging.ERROR)


def gpus_asked_for():
    """The most GPUs that are asked for of this machine: by its limit, or by one rule under it."""
    limit = workflow.resource_settings.resources.get("gpu")
    if in_a_job or limit is None or limit.value is None:
        return 0
    rules = workflow.resource_settings.overwrite_resources.values()
    asked = [resources["gpu"].value for resources in rules if "gpu" in resources]
    return max([limit.value, *(count for count in asked if isinstance(count, int))])


try:
    if not in_a_job:
        require_well_written(workflow.configfiles)
    schema = load_schema(ROOT / "config/schema.yaml")
    config = resolve(config, schema)
    require_exportable(config["projects"])
    if not in_a_job:
        require_trainable(config["projects"])
    require_devices(gpus_asked_for())
except InputError as error:
    raise SystemExit(str(error))

NAME = schema["$defs"]["name"]["pattern"].strip("^$")


def one_of(names):
    """A wildcard constraint: one of these names; nothing matches where there is none."""
    return "|".join(map(re.escape, sorted(set(names)))) or "(?!)"


def within(folder, names):
    """A wildcard constraint: the names that `names` gives of a project, each in that project's folder only.

    Two projects may have a model or a run of one name that come about by different rules. Names that all projects
    have in common need no look at the folder, and a pattern of many projects is long.
    """
    found = {name: set(names(project)) for name, project in config["projects"].items()}
    common = set.intersection(*found.values())
    others = [
        f"(?<=/{name}/{folder}/)(?:{one_of(some - common)})"
        for name, some in found.items()
        if some - common
    ]
    return "|".join([one_of(common), *others])


wildcard_constraints:
    project=one_of(config["projects"]),
    dataset=within("data", lambda project: project["datasets"]),
    model=within("models", lambda project: project["models"]),
    run=within("runs", lambda project: project["runs"]),
    split="train|validation|test",
    shard=r"\d+",
    shards=r"\d+",


def having(some):
    """A wildcard constraint: the projects that have some of what is asked for."""
    return one_of(name for name, p in config["projects"].items() if some(p))


def code(script, *modules):
    """The digest of a script of this repository and of every module of the package that it uses."""
    return digest_code(ROOT / "scripts" / script, *modules)


def section(part, wildcards):
    """The section of a model (`part` is models) or of a run (runs) that wildcards name."""
    return config["projects"][wildcards.project][part][wildcards[part[:-1]]]


def code_of_task(script, part):
    """An input function: the digest of a script that imports the task its model or run names."""
    return lambda wildcards: code(
        script, tasks()[section(part, wildcards)["task"]].module
    )


def task_settings(part):
    """An input function: the name of the task of a model or a run, the head of its models, and its settings."""

    def settings(wildcards):
        task = section(part, wildcards)["task"]
        settings = section(part, wildcards).get(task, {})
        return {"name": task, "head": tasks()[task].head, **settings}

    return settings


def head(part):
    """An input function: the Auto class of transformers for the task of a model or a run."""
    return lambda wildcards: tasks()[section(part, wildcards)["task"]].head


def run_weights(wildcards):
    """The weights that a run leaves: who reads them names them, so that a deleted file is made again."""
    names = {
        "lora": "adapter/adapter_model.safetensors",
        "full": "model/model.safetensors",
    }
    file = names[section("runs", wildcards)["tuning"]]
    return f"results/{wildcards.project}/runs/{wildcards.run}/{file}"


def model_weights(wildcards):
    """The weights of a model that is made here; those of one from elsewhere have whatever names it gave them."""
    made = section("models", wildcards)["kind"] in ("scratch", "extended")
    file = f"results/{wildcards.project}/models/{wildcards.model}/model.safetensors"
    return [file] if made else []


def rows(part, split):
    """An input function: a split of the dataset that a model or a run names, or of a run's fold of it."""

    def file(wildcards):
        project = config["projects"][wildcards.project]
        folder = rows_folder(project, section(part, wildcards))
        return f"results/{wildcards.project}/data/{folder}/{split}.jsonl"

    return file


def shard_count(project, part, section):
    """Into how many shards the rows of a dataset are cut, or of the dataset that a model or a run names."""
    if part != "datasets":
        section = project["datasets"].get(section.get("dataset"), {"shards": 1})
    return section["shards"]


def in_shards(part, whether=True):
    """A wildcard constraint: the datasets, models or runs of which the rows are cut into shards, or are not."""

    def names(project):
        return [
            name
            for name, one in project[part].items()
            if (shard_count(project, part, one) > 1) == whether
        ]

    return within({"datasets": "data"}.get(part, part), names)


def shards_of(part, pattern):
    """An input function: `pattern` for every shard of the rows of a dataset, a model or a run."""

    def files(wildcards):
        project = config["projects"][wildcards.project]
        count = shard_count(project, part, section(part, wildcards))
        return expand(pattern, **wildcards, shard=range(1, count + 1), shards=count)

    return files


def without_braces(files):
    """The files that an input function can give: in what it gives, Snakemake takes braces for wildcards."""
    return [file for file in files if "{" not in file]


def digests_of_braced(files):
    """A parameter: the digests of the other files, by which a rule is run again where one of them changes."""
    return {file: digest_file(file) for file in files if "{" in file}


def setting(path):
    """A parameter: a setting below the project's section; wildcards stand in braces."""

    def value(wildcards):
        names = dict(wildcards.items())
        found = config["projects"][wildcards.project]
        for key in path.split("/"):
            found = found[key.format(**names)]
        return found

    return value


def language(*columns):
    """An input function: columns of the row of the project's language, by name, for a rule that depends on them."""

    def named(wildcards):
        row = language_row(config["projects"][wildcards.project]["language"])
        return {column: getattr(row, column) for column in columns}

    return named


def window_settings(wildcards):
    """How text is cut for scoring; the rest of the evaluation section is none of a score's business."""
    evaluation = config["projects"][wildcards.project]["evaluation"]
    return {key: evaluation[key] for key in ("context", "stride", "batch")}
