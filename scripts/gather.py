from typing import TYPE_CHECKING

from kalam.corpus.clean import gather_cleaned
from kalam.corpus.emptied import dropped_beside
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, output = snakemake.input, snakemake.output
gather_cleaned(
    {"kept": given.documents, "dropped": given.dropped, "counts": given.counts},
    output.documents,
    output.dropped,
    output.counts,
    snakemake.params.language,
    dropped_beside(snakemake.log[0]),
)
