from typing import TYPE_CHECKING

from kalam.data.filtering import gather_filtered
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, output = snakemake.input, snakemake.output
gather_filtered(
    {"kept": given.documents, "dropped": given.dropped, "counts": given.counts},
    output.documents,
    output.dropped,
    output.counts,
)
