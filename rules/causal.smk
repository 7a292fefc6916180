# Causal models: floors, scores, the choice among candidates, and what a run's evaluation writes.
# requires: results/{project}/data/{dataset}/, .../models/{model}/meta.json, .../runs/{run}/{meta,base}.json
# provides: .../candidates.tsv, .../models/best.json, .../runs/{run}/{scores.jsonl,metrics.tsv,report.txt,page.html}

from kalam.configuration.cross_validation import folds
from kalam.configuration.project import compared_models, exports_best, floor_parts

CAUSAL_RUNS = within("runs", lambda project: runs_of(project, "causal"))


def candidate_files(pattern):
    """An input function: `pattern` for every candidate of the project."""

    def files(wildcards):
        project = config["projects"][wildcards.project]
        return expand(
            pattern,
            project=wildcards.project,
            model=candidates(project),
            dataset=project["candidates"]["dataset"],
        )

    return files


def causal_systems(wildcards):
    """What a causal run's tables compare: role, name and score rows. Which candidate is its base, base.json says."""
    project = config["projects"][wildcards.project]
    run = project["runs"][wildcards.run]
    here = f"results/{wildcards.project}/runs/{wildcards.run}/systems"
    models = f"results/{wildcards.project}/models"
    systems = [
        ("floor_base", "floor_base", f"{here}/floor_base.test.jsonl"),
        ("floor", "floor", f"{here}/floor.test.jsonl"),
    ]
    folder = rows_folder(project, run)
    systems += [
        ("candidate", name, f"{models}/{name}/scores/{folder}.test.jsonl")
        for name in compared_models(project)
    ]
    if run["base"] in project["runs"]:
        systems.append(("base", run["base"], f"{here}/base.test.jsonl"))
    return [*systems, ("adapted", wildcards.run, f"{here}/adapted.test.jsonl")]


rule floors:
    """Count characters of what the base, and of what the run has read: what a model has to pass."""
    input:
        train=rows("runs", "train"),
        validation=rows("runs", "validation"),
        test=rows("runs", "test"),
    output:
        floor_base="results/{project}/runs/{run}/systems/floor_base.test.jsonl",
        floor="results/{project}/runs/{run}/systems/floor.test.jsonl",
        meta="results/{project}/runs/{run}/systems/floors.json",
    log:
        "logs/{project}/floors/{run}.log",
    wildcard_constraints:
        run=CAUSAL_RUNS,
    conda:
        "../envs/corpus.yaml"
    params:
        parts=lambda wildcards: floor_parts(
            config["projects"][wildcards.project], wildcards.run
        ),
        orders=setting("evaluation/floor_orders"),
        code=code("floors.py"),
    message:
        "{wildcards.project}: counting the floors of {wildcards.run}"
    script:
        "../scripts/floors.py"


rule score_model:
    """Score a base model: the negative log-likelihood of every held-out document."""
    input:
        model="results/{project}/models/{model}/meta.json",
        weights=model_weights,
        validation="results/{project}/data/{dataset}/validation.jsonl",
        test="results/{project}/data/{dataset}/test.jsonl",
    output:
        validation="results/{project}/models/{model}/scores/{dataset}.validation.jsonl",
        test="results/{project}/models/{model}/scores/{dataset}.test.jsonl",
    log:
        "logs/{project}/score_model/{model}.{dataset}.log",
    benchmark:
        "logs/{project}/score_model/{model}.{dataset}.benchmark.jsonl"
    wildcard_constraints:
        model=within("models", compared_models),
        dataset=one_of(
            folder
            for project in config["projects"].values()
            for folder in [*project["datasets"], *folds(project)]
        ),
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.perplexity",
        head=head("models"),
        settings=window_settings,
        code=code("score_model.py", "kalam.evaluation.perplexity"),
    message:
        "{wildcards.project}: scoring {wildcards.model}"
    script:
        "../scripts/score_model.py"


rule choose:
    """Compare the candidates in bits per byte on the same text, and choose one of them."""
    input:
        scores=candidate_files(
            "results/{project}/models/{model}/scores/{dataset}.validation.jsonl"
        ),
        models=candidate_files("results/{project}/models/{model}/meta.json"),
    output:
        table=report(
            "results/{project}/candidates.tsv",
            caption="captions/candidates.rst",
            category="{project}",
            labels={"what": "candidates"},
        ),
        best="results/{project}/models/best.json",
    log:
        "logs/{project}/choose.log",
    wildcard_constraints:
        project=having(candidates),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        models=lambda wildcards: candidates(config["projects"][wildcards.project]),
        parts=setting("candidates/parts"),
        max_bits_per_byte=setting("candidates/max_bits_per_byte"),
        choice=setting("candidates/choice"),
        resamples=setting("evaluation/resamples"),
        exported=lambda wildcards: exports_best(config["projects"][wildcards.project]),
        seed=config["seed"],
        code=code("choose.py"),
    message:
        "{wildcards.project}: choosing the best candidate"
    script:
        "../scripts/choose.py"


rule score_run:
    """Score what a causal run has made of its base, or the base of one that begins with another run."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        test=rows("runs", "test"),
    output:
        test="results/{project}/runs/{run}/systems/{system}.test.jsonl",
    log:
        "logs/{project}/score_run/{run}.{system}.log",
    benchmark:
        "logs/{project}/score_run/{run}.{system}.benchmark.jsonl"
    wildcard_constraints:
        run=CAUSAL_RUNS,
        system="base|adapted",
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.perplexity",
        head=head("runs"),
        settings=window_settings,
        quantisation=setting("runs/{run}/quantisation"),
        code=code("score_run.py", "kalam.evaluation.perplexity"),
    message:
        "{wildcards.project}: scoring the {wildcards.system} model of {wildcards.run}"
    script:
        "../scripts/score_run.py"


rule continuations:
    """Continue held-out openings with the base and the adapted model, side by side on a page."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        train=rows("runs", "train"),
        test=rows("runs", "test"),
    output:
        report(
            "results/{project}/runs/{run}/page.html",
            caption="captions/continuations.rst",
            category="{project}",
            labels={"run": "{run}", "what": "continuations"},
        ),
    log:
        "logs/{project}/continuations/{run}.log",
    wildcard_constraints:
        run=CAUSAL_RUNS,
    conda:
        "../envs/train.yaml"
    resources:
        gpu=0,
    params:
        module="kalam.evaluation.continuations",
        head=head("runs"),
        settings=lambda wildcards: {
            "count": config["projects"][wildcards.project]["evaluation"][
                "continuations"
            ],
            "seed": config["seed"],
        },
        language=setting("language"),
        row=language("direction"),
        parts=setting("runs/{run}/parts"),
        quantisation=setting("runs/{run}/quantisation"),
        code=code("page_run.py", "kalam.evaluation.continuations"),
    message:
        "{wildcards.project}: continuing held-out openings with the base and {wildcards.run}"
    script:
        "../scripts/page_run.py"


rule evaluate_causal:
    """Compare floors, candidates, base and adapted model on the same text, with intervals."""
    input:
        base="results/{project}/runs/{run}/base.json",
        scores=lambda wildcards: [file for _, _, file in causal_systems(wildcards)],
        test=rows("runs", "test"),
    output:
        scores="results/{project}/runs/{run}/scores.jsonl",
        metrics="results/{project}/runs/{run}/metrics.tsv",
        text="results/{project}/runs/{run}/report.txt",
    log:
        "logs/{project}/evaluate_causal/{run}.log",
    wildcard_constraints:
        run=CAUSAL_RUNS,
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        module="kalam.evaluation.perplexity_report",
        systems=lambda wildcards: [
            {"role": role, "name": name, "split": "test"}
            for role, name, _ in causal_systems(wildcards)
        ],
        settings=lambda wildcards: {
            "language": config["projects"][wildcards.project]["language"],
            "parts": section("runs", wildcards)["parts"],
            "context": config["projects"][wildcards.project]["evaluation"]["context"],
        },
        resamples=setting("evaluation/resamples"),
        seed=config["seed"],
        code=code("evaluate_run.py", "kalam.evaluation.perplexity_report"),
    message:
        "{wildcards.project}: comparing {wildcards.run} with its base and its floors"
    script:
        "../scripts/evaluate_run.py"
