# Base models: fetched from a hub, linked from a folder, made here, or extended; and the choice among them.
# requires: results/{project}/splits/
# provides: results/{project}/models/{model}/meta.json, .../models/{model}/scores/, .../models/best.json,
#           results/{project}/candidates.tsv


# The only rule about models that needs the network, so it stays where the workflow was started.
rule fetch_model:
    input:
        model_files,
    output:
        "results/{project}/models/{model}/meta.json",
    log:
        "logs/{project}/fetch_model/{model}.log",
    wildcard_constraints:
        model=models_of_kind("hub", "local"),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        model=lookup(within=config, dpath="projects/{project}/models/{model}"),
        code=code("fetch_model.py"),
    message:
        "Fetching {wildcards.model}"
    script:
        "../scripts/fetch_model.py"


rule tokenise_model:
    input:
        train="results/{project}/splits/train.jsonl",
        validation="results/{project}/splits/validation.jsonl",
    output:
        train="results/{project}/models/{model}/tokens/train.safetensors",
        validation="results/{project}/models/{model}/tokens/validation.safetensors",
        tokenizer="results/{project}/models/{model}/tokenizer/tokenizer.json",
    log:
        "logs/{project}/tokenise_model/{model}.log",
    wildcard_constraints:
        model=models_of_kind("scratch"),
    conda:
        "../envs/train.yaml"
    params:
        tokenizer=lookup(
            within=config, dpath="projects/{project}/models/{model}/tokenizer"
        ),
        task=lookup(within=config, dpath="projects/{project}/models/{model}/task"),
        registers=lookup(
            within=config, dpath="projects/{project}/models/{model}/registers"
        ),
        code=code_of_task("tokenise_model.py", "models", "model"),
    message:
        "Training the tokenizer of {wildcards.model}"
    script:
        "../scripts/tokenise_model.py"


rule pretrain:
    input:
        train="results/{project}/models/{model}/tokens/train.safetensors",
        validation="results/{project}/models/{model}/tokens/validation.safetensors",
        tokenizer="results/{project}/models/{model}/tokenizer/tokenizer.json",
    output:
        meta="results/{project}/models/{model}/meta.json",
        history="results/{project}/models/{model}/history.jsonl",
    log:
        "logs/{project}/pretrain/{model}.log",
    benchmark:
        "logs/{project}/pretrain/{model}.benchmark.jsonl"
    wildcard_constraints:
        model=models_of_kind("scratch"),
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
        tasks=1,
    params:
        checkpoints="checkpoints/{project}/{model}",
        task=task_settings("models", "model"),
        architecture=lookup(
            within=config, dpath="projects/{project}/models/{model}/architecture"
        ),
        training=lookup(
            within=config, dpath="projects/{project}/models/{model}/training"
        ),
        seed=config["seed"],
        code=code_of_task("pretrain.py", "models", "model"),
    message:
        "Pretraining {wildcards.model}"
    script:
        "../scripts/pretrain.py"


rule extend_model:
    input:
        base=extended_base,
        train="results/{project}/splits/train.jsonl",
        validation="results/{project}/splits/validation.jsonl",
    output:
        meta="results/{project}/models/{model}/meta.json",
        tokens="results/{project}/models/{model}/tokens_per_byte.tsv",
    log:
        "logs/{project}/extend_model/{model}.log",
    wildcard_constraints:
        model=models_of_kind("extended"),
    conda:
        "../envs/train.yaml"
    params:
        pieces=lookup(within=config, dpath="projects/{project}/models/{model}/pieces"),
        task=lookup(within=config, dpath="projects/{project}/models/{model}/task"),
        registers=lookup(
            within=config, dpath="projects/{project}/models/{model}/registers"
        ),
        code=code_of_task("extend_model.py", "models", "model"),
    message:
        "Extending the vocabulary of {wildcards.model}"
    script:
        "../scripts/extend_model.py"


rule score_model:
    input:
        model="results/{project}/models/{model}/meta.json",
        validation="results/{project}/splits/validation.jsonl",
        test="results/{project}/splits/test.jsonl",
    output:
        validation="results/{project}/models/{model}/scores/validation.jsonl",
        test="results/{project}/models/{model}/scores/test.jsonl",
    log:
        "logs/{project}/score_model/{model}.log",
    benchmark:
        "logs/{project}/score_model/{model}.benchmark.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        evaluation=window_settings,
        code=code("score_model.py"),
    message:
        "Scoring {wildcards.model}"
    script:
        "../scripts/score_model.py"


rule choose:
    input:
        scores=candidate_files(
            "results/{project}/models/{model}/scores/validation.jsonl"
        ),
        models=candidate_files("results/{project}/models/{model}/meta.json"),
    output:
        table="results/{project}/candidates.tsv",
        best="results/{project}/models/best.json",
    log:
        "logs/{project}/choose.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        models=lambda wildcards: candidates(config["projects"][wildcards.project]),
        registers=lambda wildcards: candidate_registers(
            config["projects"][wildcards.project]
        ),
        max_bits_per_byte=lookup(
            within=config, dpath="projects/{project}/candidates/max_bits_per_byte"
        ),
        choice=lookup(within=config, dpath="projects/{project}/candidates/choice"),
        resamples=lookup(within=config, dpath="projects/{project}/evaluation/resamples"),
        exported=lambda wildcards: exports_best(config["projects"][wildcards.project]),
        seed=config["seed"],
        code=code("choose.py"),
    message:
        "Choosing the best candidate"
    script:
        "../scripts/choose.py"
