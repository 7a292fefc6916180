# Reversed models.
# requires: results/{project}/data/{dataset}/, .../runs/{run}/{meta,base}.json
# provides: results/{project}/runs/{run}/{scores.jsonl,metrics.tsv,report.txt,page.html}

REVERSED_RUNS = within("runs", lambda project: runs_of(project, "reversed"))
MODULE = "kalam.tasks.reversed"


rule score_reversed:
    """Score texts from their ends."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        test=rows("runs", "test"),
    output:
        test="results/{project}/runs/{run}/systems/{system}.test.jsonl",
    log:
        "logs/{project}/score_reversed/{run}.{system}.log",
    wildcard_constraints:
        run=REVERSED_RUNS,
        system="base|adapted",
    resources:
        gpu=0,
    params:
        module=MODULE,
        head=head("runs"),
        settings=window_settings,
        quantisation=setting("runs/{run}/quantisation"),
        code=code("score_run.py", MODULE),
    message:
        "{wildcards.project}: scoring {wildcards.run} from the end"
    script:
        "../scripts/score_run.py"


rule page_reversed:
    """Show a text from its end."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        train=rows("runs", "train"),
        test=rows("runs", "test"),
    output:
        "results/{project}/runs/{run}/page.html",
    log:
        "logs/{project}/page_reversed/{run}.log",
    wildcard_constraints:
        run=REVERSED_RUNS,
    resources:
        gpu=0,
    params:
        module=MODULE,
        head=head("runs"),
        settings={},
        language=setting("language"),
        row=language("direction"),
        parts=setting("runs/{run}/parts"),
        quantisation=setting("runs/{run}/quantisation"),
        code=code("page_run.py", MODULE),
    message:
        "{wildcards.project}: showing {wildcards.run}"
    script:
        "../scripts/page_run.py"


rule evaluate_reversed:
    """Compare what was trained with what it began with."""
    input:
        base="results/{project}/runs/{run}/base.json",
        scores=[
            f"results/{{project}}/runs/{{run}}/systems/{role}.test.jsonl"
            for role in ("base", "adapted")
        ],
        test=rows("runs", "test"),
    output:
        scores="results/{project}/runs/{run}/scores.jsonl",
        metrics="results/{project}/runs/{run}/metrics.tsv",
        text="results/{project}/runs/{run}/report.txt",
    log:
        "logs/{project}/evaluate_reversed/{run}.log",
    wildcard_constraints:
        run=REVERSED_RUNS,
    localrule: True
    params:
        module=MODULE,
        systems=[
            {"role": role, "name": role, "split": "test"}
            for role in ("base", "adapted")
        ],
        settings={},
        resamples=setting("evaluation/resamples"),
        seed=config["seed"],
        code=code("evaluate_run.py", MODULE),
    message:
        "{wildcards.project}: comparing {wildcards.run}"
    script:
        "../scripts/evaluate_run.py"
