# What a project comes to: the files of its runs put together.
# requires: results/{project}/runs/{run}/{metrics.tsv,report.txt,page.html,curves.svg}, .../candidates.tsv
# provides: results/{project}/ppl.txt, .../metrics.tsv, .../provenance.json

from kalam.configuration.project import runs_in_order


def of_runs(file):
    """An input function: a file of every run of the project, in the order of its pages."""
    return lambda wildcards: [
        f"results/{wildcards.project}/runs/{run}/{file}"
        for run in runs_in_order(config["projects"][wildcards.project])
    ]


def candidates_table(wildcards):
    """The comparison of base models, where there is one."""
    some = candidates(config["projects"][wildcards.project])
    return [f"results/{wildcards.project}/candidates.tsv"] if some else []


def runs_with_tasks(wildcards):
    """The runs of a project, each with the row of its task."""
    project = config["projects"][wildcards.project]
    return [
        (name, tasks()[project["runs"][name]["task"]])
        for name in runs_in_order(project)
    ]


rule ppl:
    """Put the reports and the figures of a project's runs together."""
    input:
        reports=of_runs("report.txt"),
        metrics=of_runs("metrics.tsv"),
        pages=of_runs("page.html"),
        curves=of_runs("curves.svg"),
        candidates=candidates_table,
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
        runs=lambda wildcards: [
            {"run": name, "page": task.page, "candidates": task.candidates}
            for name, task in runs_with_tasks(wildcards)
        ],
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
