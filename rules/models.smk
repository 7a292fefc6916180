# Base models: fetched from a hub, linked from a folder, made here, or extended.
# requires: results/{project}/data/{dataset}/
# provides: results/{project}/models/{model}/meta.json, with the model in the hub's layout beside it

from kalam.models.download import local_files

MODEL_SHARD = "results/{project}/models/{model}/tokens/{shard}-of-{shards}"


def of_kind(*kinds):
    """A wildcard constraint: the models that come about in one of these ways."""
    return within(
        "models",
        lambda project: [
            name for name, m in project["models"].items() if m["kind"] in kinds
        ],
    )


def scratch_in_shards(whether=True):
    """A wildcard constraint: the models made here of which the rows are cut into shards, or are not."""
    return within(
        "models",
        lambda project: [
            name
            for name, m in project["models"].items()
            if m["kind"] == "scratch"
            and (shard_count(project, "models", m) > 1) == whether
        ],
    )


def model_files(wildcards):
    """The files a model is linked from, where they lie in a local folder."""
    return without_braces(local_files(section("models", wildcards)))


def extended_base(wildcards):
    """The model whose vocabulary a model extends."""
    base = section("models", wildcards)["base"]
    return f"results/{wildcards.project}/models/{base}/meta.json"


# The only rule about models that needs the network, so it stays where the workflow was started.
rule fetch_model:
    """Bring a model from a hub, at its pinned revision, or link a local folder."""
    input:
        model_files,
    output:
        "results/{project}/models/{model}/meta.json",
    log:
        "logs/{project}/fetch_model/{model}.log",
    wildcard_constraints:
        model=of_kind("hub", "local"),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        model=setting("models/{model}"),
        braced=lambda wildcards: digests_of_braced(
            local_files(section("models", wildcards))
        ),
        head=head("models"),
        code=code("fetch_model.py"),
    message:
        "{wildcards.project}: fetching {wildcards.model}"
    script:
        "../scripts/fetch_model.py"


rule tokenise_model:
    """Train the tokenizer of a model made here, and write its rows as tokens."""
    input:
        train=rows("models", "train"),
        validation=rows("models", "validation"),
    output:
        train="results/{project}/models/{model}/tokens/train.safetensors",
        validation="results/{project}/models/{model}/tokens/validation.safetensors",
        tokenizer="results/{project}/models/{model}/tokenizer/tokenizer.json",
    log:
        "logs/{project}/tokenise_model/{model}.log",
    wildcard_constraints:
        model=scratch_in_shards(False),
    conda:
        "../envs/train.yaml"
    params:
        tokenizer=setting("models/{model}/tokenizer"),
        task=setting("models/{model}/task"),
        parts=setting("models/{model}/parts"),
        code=code_of_task("tokenise_model.py", "models"),
    message:
        "{wildcards.project}: training the tokenizer of {wildcards.model}"
    script:
        "../scripts/tokenise_model.py"


rule learn_tokenizer:
    """Train the tokenizer of a model made here, of which the rows are cut into shards."""
    input:
        train=rows("models", "train"),
    output:
        tokenizer="results/{project}/models/{model}/tokenizer/tokenizer.json",
    log:
        "logs/{project}/learn_tokenizer/{model}.log",
    wildcard_constraints:
        model=scratch_in_shards(),
    conda:
        "../envs/train.yaml"
    params:
        tokenizer=setting("models/{model}/tokenizer"),
        code=code("learn_tokenizer.py"),
    message:
        "{wildcards.project}: training the tokenizer of {wildcards.model}"
    script:
        "../scripts/learn_tokenizer.py"


rule tokenise_model_shard:
    """Write a shard of the rows of a model made here as tokens."""
    input:
        tokenizer="results/{project}/models/{model}/tokenizer/tokenizer.json",
        train=rows("models", "train"),
        validation=rows("models", "validation"),
    output:
        train=temp(f"{MODEL_SHARD}.train.safetensors"),
        validation=temp(f"{MODEL_SHARD}.validation.safetensors"),
    log:
        "logs/{project}/tokenise_model/{model}.{shard}-of-{shards}.log",
    wildcard_constraints:
        model=scratch_in_shards(),
    conda:
        "../envs/train.yaml"
    params:
        task=setting("models/{model}/task"),
        parts=setting("models/{model}/parts"),
        code=code_of_task("tokenise_model_shard.py", "models"),
    message:
        "{wildcards.project}: tokenising shard {wildcards.shard} of {wildcards.shards} of the rows of {wildcards.model}"
    script:
        "../scripts/tokenise_model_shard.py"


rule gather_model:
    """Put the tokens of a model's shards together: the files that `tokenise_model` would have made of the whole."""
    input:
        train=shards_of("models", f"{MODEL_SHARD}.train.safetensors"),
        validation=shards_of("models", f"{MODEL_SHARD}.validation.safetensors"),
    output:
        train="results/{project}/models/{model}/tokens/train.safetensors",
        validation="results/{project}/models/{model}/tokens/validation.safetensors",
    log:
        "logs/{project}/gather_model/{model}.log",
    wildcard_constraints:
        model=scratch_in_shards(),
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        code=code("gather_tokens.py"),
    message:
        "{wildcards.project}: putting the tokens of {wildcards.model} together"
    script:
        "../scripts/gather_tokens.py"


rule pretrain:
    """Make a model from an architecture: random weights, trained where its section says so."""
    input:
        train="results/{project}/models/{model}/tokens/train.safetensors",
        validation="results/{project}/models/{model}/tokens/validation.safetensors",
        tokenizer="results/{project}/models/{model}/tokenizer/tokenizer.json",
    output:
        meta="results/{project}/models/{model}/meta.json",
        weights="results/{project}/models/{model}/model.safetensors",
        history="results/{project}/models/{model}/history.jsonl",
    log:
        "logs/{project}/pretrain/{model}.log",
    benchmark:
        "logs/{project}/pretrain/{model}.benchmark.jsonl"
    wildcard_constraints:
        model=of_kind("scratch"),
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
        tasks=1,
    params:
        checkpoints="checkpoints/{project}/{model}",
        task=task_settings("models"),
        architecture=setting("models/{model}/architecture"),
        training=setting("models/{model}/training"),
        seed=config["seed"],
        code=code_of_task("pretrain.py", "models"),
    message:
        "{wildcards.project}: pretraining {wildcards.model}"
    script:
        "../scripts/pretrain.py"


rule extend_model:
    """Give a model more pieces in its vocabulary, for a script that its tokenizer cuts into crumbs."""
    input:
        base=extended_base,
        train=rows("models", "train"),
        validation=rows("models", "validation"),
    output:
        meta="results/{project}/models/{model}/meta.json",
        weights="results/{project}/models/{model}/model.safetensors",
        tokens="results/{project}/models/{model}/tokens_per_byte.tsv",
    log:
        "logs/{project}/extend_model/{model}.log",
    wildcard_constraints:
        model=of_kind("extended"),
    conda:
        "../envs/train.yaml"
    params:
        pieces=setting("models/{model}/pieces"),
        head=head("models"),
        parts=setting("models/{model}/parts"),
        code=code("extend_model.py"),
    message:
        "{wildcards.project}: extending the vocabulary of {wildcards.model}"
    script:
        "../scripts/extend_model.py"
