# Folds: rows cut once more by group, and the runs of all folds scored together.
# requires: results/{project}/data/{dataset}/{train,validation}.jsonl, .../runs/{run}/{scores.jsonl,metrics.tsv}
# provides: results/{project}/data/{dataset}.fold{number}of{folds}/{train,validation,test}.jsonl,
#           .../runs/{run}/{scores.jsonl,metrics.tsv,report.txt} of what was configured with folds

from kalam.configuration.cross_validation import folded_runs, folds
from kalam.configuration.datasets import PART


def fold_of(wildcards):
    """The section of a run that reads a fold."""
    return folds(config["projects"][wildcards.project])[wildcards.fold]


def folded(split):
    """An input function: the rows of a dataset that a fold is cut of."""
    return (
        lambda wildcards: f"results/{wildcards.project}/data/{fold_of(wildcards)['dataset']}/{split}.jsonl"
    )


def part_column(project, run):
    """The column that tells the parts of a run's dataset apart."""
    return PART[config["projects"][project]["datasets"][run["dataset"]]["rows"]]


def runs_of_folds(wildcards):
    """The runs of all folds of what is configured as one, in their order."""
    return folded_runs(config["projects"][wildcards.project])[wildcards.run]


def first_fold(wildcards):
    """The section of the run of the first fold."""
    return config["projects"][wildcards.project]["runs"][runs_of_folds(wildcards)[0]]


def of_folds(file):
    """An input function: a file of the run of each fold."""
    return lambda wildcards: [
        f"results/{wildcards.project}/runs/{run}/{file}"
        for run in runs_of_folds(wildcards)
    ]


def rows_of_folds(wildcards):
    """What the run of each fold is tested on."""
    project = config["projects"][wildcards.project]
    folders = [
        rows_folder(project, project["runs"][run]) for run in runs_of_folds(wildcards)
    ]
    return [
        f"results/{wildcards.project}/data/{folder}/test.jsonl" for folder in folders
    ]


rule fold:
    """Cut a fold of train and validation by group: what it holds out is its test."""
    input:
        train=folded("train"),
        validation=folded("validation"),
    output:
        train="results/{project}/data/{fold}/train.jsonl",
        validation="results/{project}/data/{fold}/validation.jsonl",
        test="results/{project}/data/{fold}/test.jsonl",
    log:
        "logs/{project}/fold/{fold}.log",
    wildcard_constraints:
        fold=within("data", folds),
    conda:
        "../envs/corpus.yaml"
    params:
        parts=lambda wildcards: sorted(fold_of(wildcards)["parts"]),
        column=lambda wildcards: part_column(wildcards.project, fold_of(wildcards)),
        number=lambda wildcards: fold_of(wildcards)["fold"]["number"],
        of=lambda wildcards: fold_of(wildcards)["fold"]["of"],
        seed=config["seed"],
        code=code("fold.py"),
    message:
        "{wildcards.project}: cutting {wildcards.fold}"
    script:
        "../scripts/fold.py"


rule out_of_fold:
    """Put the answers of the runs of all folds together, each row answered once, with intervals."""
    input:
        scores=of_folds("scores.jsonl"),
        metrics=of_folds("metrics.tsv"),
        rows=rows_of_folds,
    output:
        scores="results/{project}/runs/{run}/scores.jsonl",
        metrics="results/{project}/runs/{run}/metrics.tsv",
        text="results/{project}/runs/{run}/report.txt",
    log:
        "logs/{project}/out_of_fold/{run}.log",
    wildcard_constraints:
        run=within("runs", folded_runs),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        language=setting("language"),
        measure=lambda wildcards: tasks()[first_fold(wildcards)["task"]].measure,
        column=lambda wildcards: part_column(wildcards.project, first_fold(wildcards)),
        resamples=setting("evaluation/resamples"),
        seed=config["seed"],
        code=code("out_of_fold.py"),
    message:
        "{wildcards.project}: scoring the folds of {wildcards.run} together"
    script:
        "../scripts/out_of_fold.py"
