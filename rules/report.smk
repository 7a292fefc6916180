# What a project comes to: the files of its runs put together.
# requires: results/{project}/runs/{run}/{metrics.tsv,report.txt,page.html,curves.svg}, .../candidates.tsv
# provides: results/{project}/ppl.txt, .../metrics.tsv, .../provenance.json, .../runs.{tsv,txt} of runs on the same text

from kalam.configuration.project import runs_in_order
from kalam.configuration.side_by_side import entries, reported, side_by_side


def of_runs(file):
    """An input function: a file of every run of the project, in the order of its pages."""
    return lambda wildcards: [
        f"results/{wildcards.project}/runs/{run}/{file}"
        for run in runs_in_order(config["projects"][wildcards.project])
    ]


def reports(wildcards):
    """The report of every run of the project, and of folds the one that they have in common."""
    return [
        f"results/{wildcards.project}/runs/{run}/report.txt"
        for run in reported(config["projects"][wildcards.project])
    ]


def figures(wildcards):
    """The figures of every run of the project, of folds those that they have in common as well."""
    project = config["projects"][wildcards.project]
    names = dict.fromkeys(
        each for name, runs in reported(project).items() for each in (name, *runs)
    )
    return [f"results/{wildcards.project}/runs/{name}/metrics.tsv" for name in names]


def of_compared(file):
    """An input function: a file of each run that stands in a table with others."""
    return lambda wildcards: [
        f"results/{wildcards.project}/runs/{run}/{file}"
        for group in side_by_side(config["projects"][wildcards.project])
        for run in group["runs"]
    ]


def table_of_runs(file):
    """An input function: a file of the table of runs on the same text, where there are such."""
    return lambda wildcards: (
        [f"results/{wildcards.project}/{file}"]
        if side_by_side(config["projects"][wildcards.project])
        else []
    )


def candidates_table(wildcards):
    """The comparison of base models, where there is one."""
    some = candidates(config["projects"][wildcards.project])
    return [f"results/{wildcards.project}/candidates.tsv"] if some else []


rule run_table:
    """Compare the runs that answer for the same text, with paired intervals between them."""
    input:
        scores=of_compared("scores.jsonl"),
        metrics=of_compared("metrics.tsv"),
    output:
        metrics="results/{project}/runs.tsv",
        text="results/{project}/runs.txt",
    log:
        "logs/{project}/run_table.log",
    wildcard_constraints:
        project=having(side_by_side),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        groups=lambda wildcards: side_by_side(config["projects"][wildcards.project]),
        resamples=setting("evaluation/resamples"),
        seed=config["seed"],
        code=code("run_table.py"),
    message:
        "{wildcards.project}: comparing the runs on the same text"
    script:
        "../scripts/run_table.py"


rule ppl:
    """Put the reports and the figures of a project's runs together."""
    input:
        reports=reports,
        metrics=figures,
        pages=of_runs("page.html"),
        curves=of_runs("curves.svg"),
        candidates=candidates_table,
        differences=table_of_runs("runs.tsv"),
        tables=table_of_runs("runs.txt"),
    output:
        text=report(
            "results/{project}/ppl.txt",
            caption="captions/ppl.rst",
            category="{project}",
            labels={"what": "perplexities"},
        ),
        metrics=report(
            "results/{project}/metrics.tsv",
            caption="captions/metrics.rst",
            category="{project}",
            labels={"what": "figures"},
        ),
        provenance="results/{project}/provenance.json",
    log:
        "logs/{project}/ppl.log",
    wildcard_constraints:
        project=having(lambda project: project["runs"]),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        runs=lambda wildcards: entries(config["projects"][wildcards.project]),
        # Exports are made of runs, so nothing of theirs is in these figures.
        project=lambda wildcards: {
            key: value
            for key, value in config["projects"][wildcards.project].items()
            if key != "exports"
        },
        seed=config["seed"],
        code=code("ppl.py"),
    message:
        "{wildcards.project}: writing ppl.txt"
    script:
        "../scripts/ppl.py"
