# Kalam: from raw sources to evaluated models, one project of the configuration at a time.
import gc

from snakemake.utils import min_version

min_version("9.27")


if "projects" not in config:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/text.smk"
include: "rules/models.smk"
include: "rules/train.smk"


for task in tasks():

    include: f"rules/{task}.smk"


include: "rules/folds.smk"
include: "rules/report.smk"
include: "rules/export.smk"


# All that is loaded by now stays to the end: no search for garbage need go through it again.
gc.freeze()


def every_file(wildcards):
    """Every file of every project that nothing else is made from."""
    files = []
    for name, project in config["projects"].items():
        files += [
            f"results/{name}/data/{dataset}/statistics.tsv"
            for dataset in project["datasets"]
        ]
        if candidates(project):
            files.append(f"results/{name}/candidates.tsv")
        if project["runs"]:
            files.append(f"results/{name}/ppl.txt")
        if exported_runs(project):
            files.append(f"results/{name}/exports.txt")
    return files


rule all:
    """Every file of every project of the configuration."""
    default_target: True
    input:
        every_file,
