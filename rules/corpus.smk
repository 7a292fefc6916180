# Documents: collected, cleaned, merged, split.
# requires: the sources of the configuration
# provides: results/{project}/splits/{train,validation,test}.jsonl, results/{project}/corpus/


# Needs the network for sites and hubs, so it stays where the workflow was started.
rule collect:
    input:
        source_files,
    output:
        documents="results/{project}/corpus/sources/{source}.jsonl",
        dropped="results/{project}/corpus/sources/{source}.dropped.jsonl",
        counts="results/{project}/corpus/sources/{source}.counts.json",
    log:
        "logs/{project}/collect/{source}.log",
    benchmark:
        "logs/{project}/collect/{source}.benchmark.jsonl"
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        source=lookup(within=config, dpath="projects/{project}/sources/{source}"),
        language=lookup(within=config, dpath="projects/{project}/language"),
        store="checkpoints/{project}/sources/{source}",
        seed=config["seed"],
        code=code("collect.py"),
    message:
        "Collecting {wildcards.source}"
    script:
        "../scripts/collect.py"


rule clean:
    input:
        "results/{project}/corpus/sources/{source}.jsonl",
    output:
        documents="results/{project}/corpus/clean/{source}.jsonl",
        dropped="results/{project}/corpus/clean/{source}.dropped.jsonl",
        counts="results/{project}/corpus/clean/{source}.counts.json",
    log:
        "logs/{project}/clean/{source}.log",
    benchmark:
        "logs/{project}/clean/{source}.benchmark.jsonl"
    conda:
        "../envs/corpus.yaml"
    params:
        cleaning=lookup(within=config, dpath="projects/{project}/cleaning"),
        language=lookup(within=config, dpath="projects/{project}/language"),
        code=code("clean.py"),
    message:
        "Cleaning {wildcards.source}"
    script:
        "../scripts/clean.py"


rule merge:
    input:
        clean_sources,
    output:
        documents="results/{project}/corpus/merged.jsonl",
        dropped="results/{project}/corpus/merged.dropped.jsonl",
        counts="results/{project}/corpus/merged.counts.json",
    log:
        "logs/{project}/merge.log",
    benchmark:
        "logs/{project}/merge.benchmark.jsonl"
    conda:
        "../envs/corpus.yaml"
    params:
        threshold=lookup(
            within=config, dpath="projects/{project}/cleaning/duplicate_threshold"
        ),
        seed=config["seed"],
        code=code("merge.py"),
    message:
        "Merging the sources without their duplicates"
    script:
        "../scripts/merge.py"


rule split:
    input:
        "results/{project}/corpus/merged.jsonl",
    output:
        train="results/{project}/splits/train.jsonl",
        validation="results/{project}/splits/validation.jsonl",
        test="results/{project}/splits/test.jsonl",
        statistics="results/{project}/corpus/statistics.tsv",
    log:
        "logs/{project}/split.log",
    conda:
        "../envs/corpus.yaml"
    params:
        splits=lookup(within=config, dpath="projects/{project}/splits"),
        seed=config["seed"],
        code=code("split.py"),
    message:
        "Splitting by group"
    script:
        "../scripts/split.py"
