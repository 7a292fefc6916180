# Runs: a base, trained for a task.
# requires: results/{project}/data/{dataset}/, results/{project}/models/{model}/meta.json, .../models/best.json
# provides: results/{project}/runs/{run}/meta.json with adapter/ or model/ beside it, .../base.json, .../history.jsonl,
#           .../curves.svg

from kalam.configuration.project import leads_to_export
from kalam.configuration.tasks import BEST

RUN_SHARD = "results/{project}/runs/{run}/tokens/{shard}-of-{shards}"


def with_tuning(tuning):
    """A wildcard constraint: the runs that train an adapter (lora), or every weight (full)."""
    return within(
        "runs",
        lambda project: [
            name for name, run in project["runs"].items() if run["tuning"] == tuning
        ],
    )


def base_choice(wildcards):
    """What settles the base of a run: the choice among the candidates, or nothing but the configuration."""
    chosen = section("runs", wildcards)["base"] == BEST
    return [f"results/{wildcards.project}/models/best.json"] if chosen else []


def base_run(wildcards):
    """What another run leaves that this one begins with, or nothing where that is a model."""
    base = section("runs", wildcards)["base"]
    if base not in config["projects"][wildcards.project]["runs"]:
        return []
    files = ["meta.json", "base.json"]
    return [f"results/{wildcards.project}/runs/{base}/{file}" for file in files]


def base_models(wildcards):
    """Every model that may turn out to be the base of a run."""
    project = config["projects"][wildcards.project]
    base = section("runs", wildcards)["base"]
    if base in project["runs"]:
        return []
    return expand(
        "results/{project}/models/{model}/meta.json",
        project=wildcards.project,
        model=candidates(project) if base == BEST else [base],
    )


rule choose_base:
    """Say what a run begins with: a model, the best candidate, or what another run has made."""
    input:
        choice=base_choice,
        models=base_models,
        run=base_run,
    output:
        "results/{project}/runs/{run}/base.json",
    log:
        "logs/{project}/choose_base/{run}.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        base=setting("runs/{run}/base"),
        exported=lambda wildcards: leads_to_export(
            config["projects"][wildcards.project], wildcards.run
        ),
        code=code("choose_base.py"),
    message:
        "{wildcards.project}: settling the base of {wildcards.run}"
    script:
        "../scripts/choose_base.py"


rule tokenise_run:
    """Write the rows of a run as the tokens of its base."""
    input:
        base="results/{project}/runs/{run}/base.json",
        train=rows("runs", "train"),
        validation=rows("runs", "validation"),
    output:
        train="results/{project}/runs/{run}/tokens/train.safetensors",
        validation="results/{project}/runs/{run}/tokens/validation.safetensors",
    log:
        "logs/{project}/tokenise_run/{run}.log",
    wildcard_constraints:
        run=in_shards("runs", False),
    conda:
        "../envs/train.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        weights=setting("runs/{run}/weights"),
        task=setting("runs/{run}/task"),
        code=code_of_task("tokenise_run.py", "runs"),
    message:
        "{wildcards.project}: tokenising the rows of {wildcards.run}"
    script:
        "../scripts/tokenise_run.py"


use rule tokenise_run as tokenise_run_shard with:
    output:
        train=temp(f"{RUN_SHARD}.train.safetensors"),
        validation=temp(f"{RUN_SHARD}.validation.safetensors"),
    log:
        "logs/{project}/tokenise_run/{run}.{shard}-of-{shards}.log",
    wildcard_constraints:
        run=in_shards("runs"),
    message:
        "{wildcards.project}: tokenising shard {wildcards.shard} of {wildcards.shards} of the rows of {wildcards.run}"


rule gather_run:
    """Put the tokens of a run's shards together: the files that `tokenise_run` would have made of the whole."""
    input:
        train=shards_of("runs", f"{RUN_SHARD}.train.safetensors"),
        validation=shards_of("runs", f"{RUN_SHARD}.validation.safetensors"),
    output:
        train="results/{project}/runs/{run}/tokens/train.safetensors",
        validation="results/{project}/runs/{run}/tokens/validation.safetensors",
    log:
        "logs/{project}/gather_run/{run}.log",
    wildcard_constraints:
        run=in_shards("runs"),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        code=code("gather_tokens.py"),
    message:
        "{wildcards.project}: putting the tokens of {wildcards.run} together"
    script:
        "../scripts/gather_tokens.py"


rule train_run:
    """Train what a run trains on its base: an adapter, or every weight (train_run_whole)."""
    input:
        base="results/{project}/runs/{run}/base.json",
        train="results/{project}/runs/{run}/tokens/train.safetensors",
        validation="results/{project}/runs/{run}/tokens/validation.safetensors",
    output:
        meta="results/{project}/runs/{run}/meta.json",
        weights="results/{project}/runs/{run}/adapter/adapter_model.safetensors",
        history="results/{project}/runs/{run}/history.jsonl",
    log:
        "logs/{project}/train_run/{run}.log",
    benchmark:
        "logs/{project}/train_run/{run}.benchmark.jsonl"
    wildcard_constraints:
        run=with_tuning("lora"),
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
        tasks=1,
    params:
        checkpoints="checkpoints/{project}/{run}",
        run=setting("runs/{run}"),
        task=task_settings("runs"),
        seed=config["seed"],
        code=code_of_task("train_run.py", "runs"),
    message:
        "{wildcards.project}: training {wildcards.run}"
    script:
        "../scripts/train_run.py"


use rule train_run as train_run_whole with:
    output:
        meta="results/{project}/runs/{run}/meta.json",
        weights="results/{project}/runs/{run}/model/model.safetensors",
        history="results/{project}/runs/{run}/history.jsonl",
    wildcard_constraints:
        run=with_tuning("full"),
    message:
        "{wildcards.project}: training every weight of {wildcards.run}"


rule curves:
    """Draw the losses of a run over its steps."""
    input:
        "results/{project}/runs/{run}/history.jsonl",
    output:
        svg=report(
            "results/{project}/runs/{run}/curves.svg",
            caption="captions/curves.rst",
            category="{project}",
            labels={"run": "{run}", "what": "losses"},
        ),
        png="results/{project}/runs/{run}/curves.png",
    log:
        "logs/{project}/curves/{run}.log",
    conda:
        "../envs/corpus.yaml"
    params:
        code=code("curves.py"),
    message:
        "{wildcards.project}: drawing the losses of {wildcards.run}"
    script:
        "../scripts/curves.py"
