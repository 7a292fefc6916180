# Instruct runs: answers under a floor, the base and what was trained, and what a run's evaluation writes.
# requires: results/{project}/data/{dataset}/, .../runs/{run}/{meta,base}.json
# provides: results/{project}/runs/{run}/{scores.jsonl,metrics.tsv,report.txt,page.html}

INSTRUCT_RUNS = within("runs", lambda project: runs_of(project, "instruct"))
ANSWERING = ("floor", "base", "adapted")


rule count_answers:
    """Count the characters of the training answers: the floor of an instruct run."""
    input:
        train=rows("runs", "train"),
        validation=rows("runs", "validation"),
        test=rows("runs", "test"),
    output:
        "results/{project}/runs/{run}/systems/floor.test.jsonl",
    log:
        "logs/{project}/count_answers/{run}.log",
    wildcard_constraints:
        run=INSTRUCT_RUNS,
    conda:
        "../envs/corpus.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        orders=setting("evaluation/floor_orders"),
        code=code("count_answers.py"),
    message:
        "{wildcards.project}: counting the answers that {wildcards.run} reads"
    script:
        "../scripts/count_answers.py"


rule score_answers:
    """Score held-out answers under the base and the trained model of an instruct run."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        test=rows("runs", "test"),
    output:
        test="results/{project}/runs/{run}/systems/{system}.test.jsonl",
    log:
        "logs/{project}/score_answers/{run}.{system}.log",
    benchmark:
        "logs/{project}/score_answers/{run}.{system}.benchmark.jsonl"
    wildcard_constraints:
        run=INSTRUCT_RUNS,
        system="base|adapted",
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.answers",
        head=head("runs"),
        settings=lambda wildcards: {
            "batch": config["projects"][wildcards.project]["evaluation"]["batch"]
        },
        quantisation=setting("runs/{run}/quantisation"),
        code=code("score_run.py", "kalam.evaluation.answers"),
    message:
        "{wildcards.project}: scoring answers under the {wildcards.system} model of {wildcards.run}"
    script:
        "../scripts/score_run.py"


rule replies:
    """Answer held-out questions with the base and the trained model, side by side on a page."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        train=rows("runs", "train"),
        test=rows("runs", "test"),
    output:
        report(
            "results/{project}/runs/{run}/page.html",
            caption="captions/replies.rst",
            category="{project}",
            labels={"run": "{run}", "what": "replies"},
        ),
    log:
        "logs/{project}/replies/{run}.log",
    wildcard_constraints:
        run=INSTRUCT_RUNS,
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.replies",
        head=head("runs"),
        settings=lambda wildcards: {
            "count": config["projects"][wildcards.project]["evaluation"]["replies"]
        },
        language=setting("language"),
        row=language("direction"),
        parts=setting("runs/{run}/parts"),
        quantisation=setting("runs/{run}/quantisation"),
        code=code("page_run.py", "kalam.evaluation.replies"),
    message:
        "{wildcards.project}: answering held-out questions with the base and {wildcards.run}"
    script:
        "../scripts/page_run.py"


rule evaluate_instruct:
    """Compare the floor, the base and the trained model of an instruct run, with intervals."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        scores=[
            f"results/{{project}}/runs/{{run}}/systems/{role}.test.jsonl"
            for role in ANSWERING
        ],
        test=rows("runs", "test"),
    output:
        scores="results/{project}/runs/{run}/scores.jsonl",
        metrics="results/{project}/runs/{run}/metrics.tsv",
        text="results/{project}/runs/{run}/report.txt",
    log:
        "logs/{project}/evaluate_instruct/{run}.log",
    wildcard_constraints:
        run=INSTRUCT_RUNS,
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        module="kalam.evaluation.answers_report",
        systems=lambda wildcards: [
            {
                "role": role,
                "name": wildcards.run if role == "adapted" else role,
                "split": "test",
            }
            for role in ANSWERING
        ],
        settings=lambda wildcards: {
            "language": config["projects"][wildcards.project]["language"]
        },
        resamples=setting("evaluation/resamples"),
        seed=config["seed"],
        code=code("evaluate_run.py", "kalam.evaluation.answers_report"),
    message:
        "{wildcards.project}: comparing {wildcards.run} with its base and its floor"
    script:
        "../scripts/evaluate_run.py"
