from typing import TYPE_CHECKING

from kalam.evaluation.run_table import write_run_table
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
params = snakemake.params
runs = [run for group in params.groups for run in group["runs"]]
write_run_table(
    snakemake.wildcards.project,
    params.groups,
    dict(zip(runs, snakemake.input.scores, strict=True)),
    dict(zip(runs, snakemake.input.metrics, strict=True)),
    params.resamples,
    params.seed,
    snakemake.output,
)
