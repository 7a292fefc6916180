from typing import TYPE_CHECKING

from kalam.evaluation.out_of_fold import write_out_of_fold
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
write_out_of_fold(
    {"project": wildcards.project, "run": wildcards.run, "language": params.language},
    params.measure,
    given.scores,
    given.metrics,
    given.rows,
    params.column,
    params.resamples,
    params.seed,
    snakemake.output,
)
