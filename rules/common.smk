# Shared by the other files here: the checked configuration, code digests, what depends on what.
# requires: config, config/schema.yaml
# provides: config (complete), code(), the input functions, every_file()

from pathlib import Path

from kalam.configuration.project import (
    BEST,
    CAUSAL,
    MASKED,
    candidate_registers,
    candidates,
    compared_models,
    export_kinds,
    exported_runs,
    exports_best,
    floor_registers,
    leads_to_export,
    runs_of,
)
from kalam.configuration.resolve import load_schema, resolve
from kalam.data.inputs import source_inputs
from kalam.export.convertible import require_exportable
from kalam.files.code import digest_code
from kalam.files.errors import InputError
from kalam.models.download import local_files
from kalam.machine.devices import require_devices

ROOT = Path(workflow.basedir)


def gpus_asked_for():
    """The most GPUs that are asked for of this machine: by its limit, or by one rule under it."""
    limit = workflow.resource_settings.resources.get("gpu")
    if (
        limit is None
        or limit.value is None
        or workflow.remote_exec
        or workflow.subprocess_exec
    ):
        return 0
    rules = workflow.resource_settings.overwrite_resources.values()
    asked = [resources["gpu"].value for resources in rules if "gpu" in resources]
    return max([limit.value, *(count for count in asked if isinstance(count, int))])


try:
    config = resolve(config, load_schema(ROOT / "config/schema.yaml"))
    require_exportable(config["projects"])
    require_devices(gpus_asked_for())
except InputError as error:
    raise SystemExit(str(error))


def one_of(names):
    """A wildcard constraint: one of these names; nothing matches where there is none."""
    return "|".join(sorted(set(names))) or "(?!)"


def names(part):
    """A wildcard constraint: the names under a part of the configuration, of any project."""
    return one_of(
        name for project in config["projects"].values() for name in project[part]
    )


wildcard_constraints:
    project="|".join(config["projects"]),
    source=names("sources"),
    model=names("models"),
    run=names("runs"),


def code(script, *modules):
    """The digest of a script of this repository and of every module of the package that it uses."""
    return digest_code(ROOT / "scripts" / script, *modules)


def code_of_task(script, part, wildcard):
    """An input function: the digest of a script that imports the task its model or run names."""

    def digest(wildcards):
        section = config["projects"][wildcards.project][part][wildcards[wildcard]]
        return code(script, f"kalam.tasks.{section['task']}")

    return digest


def task_settings(part, wildcard):
    """An input function: the name of the task of a model or a run, with the settings in the section of that name."""

    def settings(wildcards):
        section = config["projects"][wildcards.project][part][wildcards[wildcard]]
        return {"name": section["task"], **section.get(section["task"], {})}

    return settings


def models_of_kind(*kinds):
    """A wildcard constraint: the models, of any project, that come about in one of these ways."""
    return one_of(
        name
        for project in config["projects"].values()
        for name, model in project["models"].items()
        if model["kind"] in kinds
    )


def runs_of_task(task):
    """A wildcard constraint: the runs, of any project, that do this task."""
    return one_of(
        name for p in config["projects"].values() for name in runs_of(p, task)
    )


def hiding(wildcards):
    """How tokens are hidden where a masked run is scored."""
    project = config["projects"][wildcards.project]
    run = project["runs"][wildcards.run]
    return {
        "context": run["training"]["context"],
        "share": run["masked"]["share"],
        "seed": config["seed"],
        "batch": project["evaluation"]["batch"],
    }


def source_files(wildcards):
    source = config["projects"][wildcards.project]["sources"][wildcards.source]
    try:
        return source_inputs(source, ".")
    except InputError as error:
        # Of any other exception Snakemake makes "nothing produces this", and goes on with an old result.
        raise SystemExit(
            f"config: projects.{wildcards.project}.sources.{wildcards.source}.{error}"
        )


def model_files(wildcards):
    return local_files(config["projects"][wildcards.project]["models"][wildcards.model])


def extended_base(wildcards):
    """The model whose vocabulary a model extends."""
    models = config["projects"][wildcards.project]["models"]
    return f"results/{wildcards.project}/models/{models[wildcards.model]['base']}/meta.json"


def clean_sources(wildcards):
    return expand(
        "results/{project}/corpus/clean/{source}.jsonl",
        project=wildcards.project,
        source=config["projects"][wildcards.project]["sources"],
    )


def candidate_files(pattern):
    """An input function: `pattern` for every candidate of the project."""
    return lambda wildcards: expand(
        pattern,
        project=wildcards.project,
        model=candidates(config["projects"][wildcards.project]),
        allow_missing=True,
    )


def base_choice(wildcards):
    """What settles the base of a run: the choice among the candidates, or nothing but the configuration."""
    base = config["projects"][wildcards.project]["runs"][wildcards.run]["base"]
    return [f"results/{wildcards.project}/models/best.json"] if base == BEST else []


def base_run(wildcards):
    """What another run leaves that this one begins with, or nothing where that is a model."""
    project = config["projects"][wildcards.project]
    base = project["runs"][wildcards.run]["base"]
    if base not in project["runs"]:
        return []
    files = ["meta.json", "base.json"]
    return [f"results/{wildcards.project}/runs/{base}/{file}" for file in files]


def base_models(wildcards):
    """Every model that may turn out to be the base of a run."""
    project = config["projects"][wildcards.project]
    base = project["runs"][wildcards.run]["base"]
    if base in project["runs"]:
        return []
    names = candidates(project) if base == BEST else [base]
    return expand(
        "results/{project}/models/{model}/meta.json",
        project=wildcards.project,
        model=names,
    )


def registers_of_floors(wildcards):
    """The registers of the two floors of a run."""
    return floor_registers(config["projects"][wildcards.project], wildcards.run)


def score_files(wildcards):
    """Every file of score rows: models, causal runs with their floors, and masked runs."""
    project = config["projects"][wildcards.project]
    files = expand("models/{model}/scores/test.jsonl", model=compared_models(project))
    files += expand(
        "runs/{run}/{what}/test.jsonl",
        run=runs_of(project, CAUSAL),
        what=["scores", "floors/base", "floors/adapted"],
    )
    files += expand(
        "runs/{run}/masked/{system}/{split}.jsonl",
        run=runs_of(project, MASKED),
        system=["floor", "base", "trained"],
        split=["validation", "test"],
    )
    return [f"results/{wildcards.project}/{file}" for file in files]


def run_files(wildcards):
    """What belongs to each run of the project beside its figures: its base, curves, and a page to look at."""
    project = config["projects"][wildcards.project]
    pages = {CAUSAL: "continuations.html", MASKED: "fillings.html"}
    return [
        f"results/{wildcards.project}/runs/{name}/{file}"
        for name, run in project["runs"].items()
        for file in ("base.json", "curves.svg", pages[run["task"]])
    ]


def window_settings(wildcards):
    """How text is cut for scoring; the rest of the evaluation section is none of a score's business."""
    evaluation = config["projects"][wildcards.project]["evaluation"]
    return {key: evaluation[key] for key in ("context", "stride", "batch")}


def runs_exported():
    """A wildcard constraint: the runs, of any project, that are exported."""
    return one_of(
        name for p in config["projects"].values() for name in exported_runs(p)
    )


def export_settings(*keys):
    """An input function: some settings of the project's exports."""

    def settings(wildcards):
        exports = config["projects"][wildcards.project]["exports"]
        return {key: exports[key] for key in keys}

    return settings


def importance_matrix(wildcards):
    """The importance matrix, for the types that use one."""
    file = f"results/{wildcards.project}/exports/{wildcards.run}.imatrix.gguf"
    return [file] if "_k" in wildcards.quant else []


def exported_files(pattern):
    """An input function: a file of the exports for every run, and kind, of a project."""

    def files(wildcards):
        project = config["projects"][wildcards.project]
        names = expand(pattern, run=exported_runs(project), kind=export_kinds(project))
        return [f"results/{wildcards.project}/exports/{name}" for name in names]

    return files


def projector_files(wildcards):
    """What stands before the language models of a project whose exports see."""
    wanted = config["projects"][wildcards.project]["exports"]["projector"]
    return exported_files("{run}.projector.gguf")(wildcards) if wanted else []


def gguf_files(wildcards):
    """Every verified GGUF of a run."""
    kinds = export_kinds(config["projects"][wildcards.project])
    pattern = "results/{project}/exports/{run}.{kind}.gguf"
    return expand(pattern, kind=kinds, project=wildcards.project, run=wildcards.run)


def every_file(wildcards):
    """Every file of every project that nothing else is made from."""
    files = []
    for name, project in config["projects"].items():
        files.append(f"results/{name}/corpus/statistics.tsv")
        if candidates(project):
            files.append(f"results/{name}/candidates.tsv")
        if project["runs"]:
            files.append(f"results/{name}/ppl.txt")
        if exported_runs(project):
            files.append(f"results/{name}/exports.txt")
    return files
