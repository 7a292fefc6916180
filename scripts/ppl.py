from typing import TYPE_CHECKING

from kalam.evaluation.project_files import write_project
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
write_project(
    snakemake.params.runs,
    snakemake.input.reports,
    [*snakemake.input.metrics, *snakemake.input.differences],
    snakemake.input.tables,
    snakemake.params.project,
    snakemake.params.seed,
    snakemake.output,
)
