# Datasets of text, documents and conversations: collected, cleaned, merged, split.
# requires: the sources of the configuration
# provides: results/{project}/data/{dataset}/{train,validation,test}.jsonl, .../statistics.tsv

from functools import cache

from kalam.configuration.datasets import parts
from kalam.corpus.clean import COLUMNS
from kalam.data.inputs import source_inputs

CLEAN_SHARD = "results/{project}/data/{dataset}/clean/{source}/{shard}-of-{shards}"


wildcard_constraints:
    # No more than the form of a name: every file's pattern repeats it, and sources are thousands.
    source=NAME,


@cache
def files_of_source(project, dataset, source):
    """The local files that a source is read from."""
    sources = config["projects"][project]["datasets"][dataset]["sources"]
    path = f"config: projects.{project}.datasets.{dataset}.sources"
    # Of any other exception Snakemake makes "nothing produces this", and goes on with an old result.
    if source not in sources:
        raise SystemExit(f"{path}: missing key {source}, of which a file is wanted")
    try:
        return source_inputs(sources[source], ".")
    except InputError as error:
        raise SystemExit(f"{path}.{source}.{error}")


def source_files(wildcards):
    """The same as far as they can be the input of a rule."""
    return without_braces(files_of_source(**wildcards))


def source_names(wildcards):
    """The names of a dataset's sources, in the order of the configuration."""
    dataset = config["projects"][wildcards.project]["datasets"][wildcards.dataset]
    return list(dataset["sources"])


def clean_sources(wildcards):
    """Every source of a dataset, cleaned, in the order of the configuration."""
    return expand(
        "results/{project}/data/{dataset}/clean/{source}.jsonl",
        project=wildcards.project,
        dataset=wildcards.dataset,
        source=source_names(wildcards),
    )


# Needs the network for sites and hubs, so it stays where the workflow was started.
rule collect:
    """Read a source: crawl a site, read files or a hub's dataset, each row a document or a conversation."""
    input:
        source_files,
    output:
        documents="results/{project}/data/{dataset}/sources/{source}.jsonl",
        dropped="results/{project}/data/{dataset}/sources/{source}.dropped.jsonl",
        counts="results/{project}/data/{dataset}/sources/{source}.counts.json",
    log:
        "logs/{project}/collect/{dataset}.{source}.log",
    benchmark:
        "logs/{project}/collect/{dataset}.{source}.benchmark.jsonl"
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        source=setting("datasets/{dataset}/sources/{source}"),
        rows=setting("datasets/{dataset}/rows"),
        language=setting("language"),
        store="checkpoints/{project}/.crawls/{dataset}/{source}",
        seed=config["seed"],
        braced=lambda wildcards: digests_of_braced(files_of_source(**wildcards)),
        code=code("collect.py"),
    message:
        "{wildcards.project}: collecting {wildcards.source}"
    script:
        "../scripts/collect.py"


rule clean:
    """Normalise the documents of a source, and drop what is none, each with its reason."""
    input:
        "results/{project}/data/{dataset}/sources/{source}.jsonl",
    output:
        documents="results/{project}/data/{dataset}/clean/{source}.jsonl",
        dropped="results/{project}/data/{dataset}/clean/{source}.dropped.jsonl",
        counts="results/{project}/data/{dataset}/clean/{source}.counts.json",
    log:
        "logs/{project}/clean/{dataset}.{source}.log",
    benchmark:
        "logs/{project}/clean/{dataset}.{source}.benchmark.jsonl"
    wildcard_constraints:
        dataset=in_shards("datasets", False),
    conda:
        "../envs/corpus.yaml"
    params:
        cleaning=setting("datasets/{dataset}/cleaning"),
        language=setting("language"),
        row=language(*COLUMNS),
        code=code("clean.py"),
    message:
        "{wildcards.project}: cleaning {wildcards.source}"
    script:
        "../scripts/clean.py"


use rule clean as clean_shard with:
    output:
        documents=temp(f"{CLEAN_SHARD}.jsonl"),
        dropped=temp(f"{CLEAN_SHARD}.dropped.jsonl"),
        counts=temp(f"{CLEAN_SHARD}.counts.json"),
    log:
        "logs/{project}/clean/{dataset}.{source}.{shard}-of-{shards}.log",
    benchmark:
        "logs/{project}/clean/{dataset}.{source}.{shard}-of-{shards}.benchmark.jsonl"
    wildcard_constraints:
        dataset=in_shards("datasets"),
    message:
        "{wildcards.project}: cleaning shard {wildcards.shard} of {wildcards.shards} of {wildcards.source}"


rule gather:
    """Put the shards of a source together: the files that `clean` would have made of the whole."""
    input:
        documents=shards_of("datasets", f"{CLEAN_SHARD}.jsonl"),
        dropped=shards_of("datasets", f"{CLEAN_SHARD}.dropped.jsonl"),
        counts=shards_of("datasets", f"{CLEAN_SHARD}.counts.json"),
    output:
        documents="results/{project}/data/{dataset}/clean/{source}.jsonl",
        dropped="results/{project}/data/{dataset}/clean/{source}.dropped.jsonl",
        counts="results/{project}/data/{dataset}/clean/{source}.counts.json",
    log:
        "logs/{project}/gather/{dataset}.{source}.log",
    wildcard_constraints:
        dataset=in_shards("datasets"),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        language=setting("language"),
        code=code("gather.py"),
    message:
        "{wildcards.project}: putting the shards of {wildcards.source} together"
    script:
        "../scripts/gather.py"


rule merge:
    """Put the sources of a dataset together without their duplicates, near ones and texts inside others included."""
    input:
        clean_sources,
    output:
        documents="results/{project}/data/{dataset}/merged.jsonl",
        joins="results/{project}/data/{dataset}/merged.joins.jsonl",
        dropped="results/{project}/data/{dataset}/merged.dropped.jsonl",
        counts="results/{project}/data/{dataset}/merged.counts.json",
    log:
        "logs/{project}/merge/{dataset}.log",
    benchmark:
        "logs/{project}/merge/{dataset}.benchmark.jsonl"
    conda:
        "../envs/corpus.yaml"
    params:
        threshold=setting("datasets/{dataset}/cleaning/duplicate_threshold"),
        max_records=setting("datasets/{dataset}/max_records"),
        sampling=setting("datasets/{dataset}/sampling"),
        row=language("optional_marks"),
        seed=config["seed"],
        code=code("merge.py"),
    message:
        "{wildcards.project}: merging the sources of {wildcards.dataset} without their duplicates"
    script:
        "../scripts/merge.py"


rule split:
    """Cut a dataset into train, validation and test, by group, source after source."""
    input:
        documents="results/{project}/data/{dataset}/merged.jsonl",
        joins="results/{project}/data/{dataset}/merged.joins.jsonl",
    output:
        train="results/{project}/data/{dataset}/train.jsonl",
        validation="results/{project}/data/{dataset}/validation.jsonl",
        test="results/{project}/data/{dataset}/test.jsonl",
        dropped="results/{project}/data/{dataset}/split.dropped.jsonl",
        counts="results/{project}/data/{dataset}/split.counts.json",
        statistics=report(
            "results/{project}/data/{dataset}/statistics.tsv",
            caption="captions/statistics.rst",
            category="{project}",
            labels={"dataset": "{dataset}", "what": "statistics"},
        ),
    log:
        "logs/{project}/split/{dataset}.log",
    conda:
        "../envs/corpus.yaml"
    params:
        sources=source_names,
        parts=lambda wildcards: parts(
            config["projects"][wildcards.project]["datasets"][wildcards.dataset]
        ),
        splits=setting("datasets/{dataset}/splits"),
        seed=config["seed"],
        code=code("split.py"),
    message:
        "{wildcards.project}: splitting {wildcards.dataset} by group"
    script:
        "../scripts/split.py"
