# Kalam: from raw sources to evaluated models, one project of the configuration at a time.
from snakemake.utils import min_version

min_version("9.27")


if "projects" not in config:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/models.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/masked.smk"
include: "rules/export.smk"


rule all:
    default_target: True
    input:
        every_file,
