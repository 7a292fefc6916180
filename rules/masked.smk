# Masked runs: hidden tokens under the floor, the base and what was trained, as rows and as a page.
# requires: results/{project}/splits/, .../runs/{run}/meta.json
# provides: results/{project}/runs/{run}/masked/{floor,base,trained}/{validation,test}.jsonl, .../fillings.html


rule score_masked:
    input:
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        train="results/{project}/splits/train.jsonl",
        validation="results/{project}/splits/validation.jsonl",
        test="results/{project}/splits/test.jsonl",
    output:
        floor_validation="results/{project}/runs/{run}/masked/floor/validation.jsonl",
        floor_test="results/{project}/runs/{run}/masked/floor/test.jsonl",
        base_validation="results/{project}/runs/{run}/masked/base/validation.jsonl",
        base_test="results/{project}/runs/{run}/masked/base/test.jsonl",
        trained_validation="results/{project}/runs/{run}/masked/trained/validation.jsonl",
        trained_test="results/{project}/runs/{run}/masked/trained/test.jsonl",
    log:
        "logs/{project}/score_masked/{run}.log",
    benchmark:
        "logs/{project}/score_masked/{run}.benchmark.jsonl"
    wildcard_constraints:
        run=runs_of_task("masked"),
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        hiding=hiding,
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        quantisation=lookup(
            within=config, dpath="projects/{project}/runs/{run}/quantisation"
        ),
        code=code("score_masked.py"),
    message:
        "Scoring hidden tokens under {wildcards.run}"
    script:
        "../scripts/score_masked.py"


rule fillings:
    input:
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        train="results/{project}/splits/train.jsonl",
        test="results/{project}/splits/test.jsonl",
    output:
        "results/{project}/runs/{run}/fillings.html",
    log:
        "logs/{project}/fillings/{run}.log",
    wildcard_constraints:
        run=runs_of_task("masked"),
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        gaps=lookup(within=config, dpath="projects/{project}/evaluation/fillings"),
        context=lookup(
            within=config, dpath="projects/{project}/runs/{run}/training/context"
        ),
        language=lookup(within=config, dpath="projects/{project}/language"),
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        quantisation=lookup(
            within=config, dpath="projects/{project}/runs/{run}/quantisation"
        ),
        code=code("fillings.py"),
    message:
        "Filling gaps with the base and {wildcards.run}"
    script:
        "../scripts/fillings.py"
