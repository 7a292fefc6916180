# Runs: a base, adapted.
# requires: results/{project}/splits/, results/{project}/models/{model}/meta.json, .../models/best.json
# provides: results/{project}/runs/{run}/meta.json (with adapter/ or model/ beside it), .../base.json, .../history.jsonl


rule choose_base:
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
        base=lookup(within=config, dpath="projects/{project}/runs/{run}/base"),
        exported=lambda wildcards: leads_to_export(
            config["projects"][wildcards.project], wildcards.run
        ),
        code=code("choose_base.py"),
    message:
        "Settling the base of {wildcards.run}"
    script:
        "../scripts/choose_base.py"


rule tokenise_run:
    input:
        base="results/{project}/runs/{run}/base.json",
        train="results/{project}/splits/train.jsonl",
        validation="results/{project}/splits/validation.jsonl",
    output:
        train="results/{project}/runs/{run}/tokens/train.safetensors",
        validation="results/{project}/runs/{run}/tokens/validation.safetensors",
    log:
        "logs/{project}/tokenise_run/{run}.log",
    conda:
        "../envs/train.yaml"
    params:
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        task=lookup(within=config, dpath="projects/{project}/runs/{run}/task"),
        code=code_of_task("tokenise_run.py", "runs", "run"),
    message:
        "Tokenising the text of {wildcards.run}"
    script:
        "../scripts/tokenise_run.py"


rule train_run:
    input:
        base="results/{project}/runs/{run}/base.json",
        train="results/{project}/runs/{run}/tokens/train.safetensors",
        validation="results/{project}/runs/{run}/tokens/validation.safetensors",
    output:
        meta="results/{project}/runs/{run}/meta.json",
        history="results/{project}/runs/{run}/history.jsonl",
    log:
        "logs/{project}/train_run/{run}.log",
    benchmark:
        "logs/{project}/train_run/{run}.benchmark.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
        tasks=1,
    params:
        checkpoints="checkpoints/{project}/{run}",
        run=lookup(within=config, dpath="projects/{project}/runs/{run}"),
        task=task_settings("runs", "run"),
        seed=config["seed"],
        code=code_of_task("train_run.py", "runs", "run"),
    message:
        "Training {wildcards.run}"
    script:
        "../scripts/train_run.py"
