from typing import TYPE_CHECKING

from kalam.corpus.collect import write_collected
from kalam.corpus.emptied import dropped_beside
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
write_collected(
    snakemake.params.source,
    snakemake.wildcards.source,
    snakemake.params.rows,
    snakemake.params.language,
    snakemake.params.seed,
    ".",
    snakemake.params.store,
    snakemake.output.documents,
    snakemake.output.dropped,
    snakemake.output.counts,
    dropped_beside(snakemake.log[0]),
)
