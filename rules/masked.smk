# Masked models: hidden tokens under a floor, the base and what was trained, and what a run's evaluation writes.
# requires: results/{project}/data/{dataset}/, .../runs/{run}/{meta,base}.json
# provides: results/{project}/runs/{run}/{scores.jsonl,metrics.tsv,report.txt,page.html}

MASKED_RUNS = within("runs", lambda project: runs_of(project, "masked"))
HELD_OUT = ("validation", "test")
HIDDEN = [(role, split) for split in HELD_OUT for role in ("floor", "base", "adapted")]


def hiding(wildcards):
    """How tokens are hidden where a masked run is scored."""
    run = section("runs", wildcards)
    return {
        "context": run["training"]["context"],
        "share": run["masked"]["share"],
        "seed": config["seed"],
        "batch": config["projects"][wildcards.project]["evaluation"]["batch"],
        "draws": config["projects"][wildcards.project]["evaluation"]["draws"],
    }


rule count_tokens:
    """Count the tokens of the run's training text: the floor of a masked model."""
    input:
        base="results/{project}/runs/{run}/base.json",
        train=rows("runs", "train"),
        validation=rows("runs", "validation"),
        test=rows("runs", "test"),
    output:
        validation="results/{project}/runs/{run}/systems/floor.validation.jsonl",
        test="results/{project}/runs/{run}/systems/floor.test.jsonl",
    log:
        "logs/{project}/count_tokens/{run}.log",
    wildcard_constraints:
        run=MASKED_RUNS,
    conda:
        "../envs/train.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        code=code("count_tokens.py"),
    message:
        "{wildcards.project}: counting the tokens that {wildcards.run} reads"
    script:
        "../scripts/count_tokens.py"


rule score_masked:
    """Score the base and the trained model of a masked run on hidden tokens of held-out documents."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        validation=rows("runs", "validation"),
        test=rows("runs", "test"),
    output:
        validation="results/{project}/runs/{run}/systems/{system}.validation.jsonl",
        test="results/{project}/runs/{run}/systems/{system}.test.jsonl",
    log:
        "logs/{project}/score_masked/{run}.{system}.log",
    benchmark:
        "logs/{project}/score_masked/{run}.{system}.benchmark.jsonl"
    wildcard_constraints:
        run=MASKED_RUNS,
        system="base|adapted",
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.hidden_tokens",
        head=head("runs"),
        settings=hiding,
        quantisation=setting("runs/{run}/quantisation"),
        code=code("score_run.py", "kalam.evaluation.hidden_tokens"),
    message:
        "{wildcards.project}: scoring hidden tokens under the {wildcards.system} model of {wildcards.run}"
    script:
        "../scripts/score_run.py"


rule fillings:
    """Fill a gap in held-out documents with the floor, the base and the trained model, on a page."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        train=rows("runs", "train"),
        test=rows("runs", "test"),
    output:
        report(
            "results/{project}/runs/{run}/page.html",
            caption="captions/fillings.rst",
            category="{project}",
            labels={"run": "{run}", "what": "fillings"},
        ),
    log:
        "logs/{project}/fillings/{run}.log",
    wildcard_constraints:
        run=MASKED_RUNS,
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.fillings",
        head=head("runs"),
        settings=lambda wildcards: {
            "count": config["projects"][wildcards.project]["evaluation"]["fillings"],
            "context": section("runs", wildcards)["training"]["context"],
        },
        language=setting("language"),
        row=language("direction"),
        parts=setting("runs/{run}/parts"),
        quantisation=setting("runs/{run}/quantisation"),
        code=code("page_run.py", "kalam.evaluation.fillings"),
    message:
        "{wildcards.project}: filling gaps with the base and {wildcards.run}"
    script:
        "../scripts/page_run.py"


rule evaluate_masked:
    """Compare the floor, the base and the trained model of a masked run, with intervals."""
    input:
        base="results/{project}/runs/{run}/base.json",
        scores=[
            f"results/{{project}}/runs/{{run}}/systems/{role}.{split}.jsonl"
            for role, split in HIDDEN
        ],
        validation=rows("runs", "validation"),
        test=rows("runs", "test"),
    output:
        scores="results/{project}/runs/{run}/scores.jsonl",
        metrics="results/{project}/runs/{run}/metrics.tsv",
        text="results/{project}/runs/{run}/report.txt",
    log:
        "logs/{project}/evaluate_masked/{run}.log",
    wildcard_constraints:
        run=MASKED_RUNS,
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        module="kalam.evaluation.hidden_tokens_report",
        systems=lambda wildcards: [
            {
                "role": role,
                "name": wildcards.run if role == "adapted" else role,
                "split": split,
            }
            for role, split in HIDDEN
        ],
        settings=lambda wildcards: {
            "language": config["projects"][wildcards.project]["language"],
            "share": section("runs", wildcards)["masked"]["share"],
            "draws": config["projects"][wildcards.project]["evaluation"]["draws"],
        },
        resamples=setting("evaluation/resamples"),
        seed=config["seed"],
        code=code("evaluate_run.py", "kalam.evaluation.hidden_tokens_report"),
    message:
        "{wildcards.project}: comparing {wildcards.run} with its base and its floor"
    script:
        "../scripts/evaluate_run.py"
