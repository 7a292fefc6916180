from typing import TYPE_CHECKING

from kalam.corpus.merge import merge_files
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
merge_files(
    snakemake.input,
    snakemake.output.documents,
    snakemake.output.joins,
    snakemake.output.dropped,
    snakemake.output.counts,
    snakemake.params.threshold,
    snakemake.params.seed,
    snakemake.params.max_records,
    snakemake.params.sampling,
    **snakemake.params.row,
)
