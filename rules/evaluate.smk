# Figures: floors, scores, metrics, and the pages a person reads.
# requires: results/{project}/splits/, .../models/, .../runs/{run}/meta.json
# provides: results/{project}/metrics.tsv, results/{project}/ppl.txt, .../runs/{run}/{curves,continuations}


rule floors:
    input:
        train="results/{project}/splits/train.jsonl",
        validation="results/{project}/splits/validation.jsonl",
        test="results/{project}/splits/test.jsonl",
    output:
        base="results/{project}/runs/{run}/floors/base/test.jsonl",
        adapted="results/{project}/runs/{run}/floors/adapted/test.jsonl",
        meta="results/{project}/runs/{run}/floors/meta.json",
    log:
        "logs/{project}/floors/{run}.log",
    conda:
        "../envs/corpus.yaml"
    params:
        registers=registers_of_floors,
        orders=lookup(within=config, dpath="projects/{project}/evaluation/floor_orders"),
        code=code("floors.py"),
    message:
        "Fitting the floors of {wildcards.run}"
    script:
        "../scripts/floors.py"


rule score_run:
    input:
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        test="results/{project}/splits/test.jsonl",
    output:
        "results/{project}/runs/{run}/scores/test.jsonl",
    log:
        "logs/{project}/score_run/{run}.log",
    benchmark:
        "logs/{project}/score_run/{run}.benchmark.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        evaluation=window_settings,
        quantisation=lookup(
            within=config, dpath="projects/{project}/runs/{run}/quantisation"
        ),
        code=code("score_run.py"),
    message:
        "Scoring {wildcards.run}"
    script:
        "../scripts/score_run.py"


rule continuations:
    input:
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        test="results/{project}/splits/test.jsonl",
    output:
        "results/{project}/runs/{run}/continuations.html",
    log:
        "logs/{project}/continuations/{run}.log",
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        openings=lookup(
            within=config, dpath="projects/{project}/evaluation/continuations"
        ),
        length=300,
        language=lookup(within=config, dpath="projects/{project}/language"),
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        quantisation=lookup(
            within=config, dpath="projects/{project}/runs/{run}/quantisation"
        ),
        seed=config["seed"],
        code=code("continuations.py"),
    message:
        "Continuing held-out openings with the base and {wildcards.run}"
    script:
        "../scripts/continuations.py"


rule curves:
    input:
        "results/{project}/runs/{run}/history.jsonl",
    output:
        svg="results/{project}/runs/{run}/curves.svg",
        png="results/{project}/runs/{run}/curves.png",
    log:
        "logs/{project}/curves/{run}.log",
    conda:
        "../envs/corpus.yaml"
    params:
        code=code("curves.py"),
    message:
        "Drawing the losses of {wildcards.run}"
    script:
        "../scripts/curves.py"


rule ppl:
    input:
        scores=score_files,
        runs=run_files,
        validation="results/{project}/splits/validation.jsonl",
        test="results/{project}/splits/test.jsonl",
    output:
        text="results/{project}/ppl.txt",
        metrics="results/{project}/metrics.tsv",
        provenance="results/{project}/provenance.json",
    log:
        "logs/{project}/ppl.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        project=lookup(within=config, dpath="projects/{project}"),
        candidates=lambda wildcards: compared_models(
            config["projects"][wildcards.project]
        ),
        seed=config["seed"],
        code=code("ppl.py"),
    message:
        "Writing ppl.txt"
    script:
        "../scripts/ppl.py"
