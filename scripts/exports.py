from typing import TYPE_CHECKING

from kalam.export.summary import write_summary
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, output = snakemake.input, snakemake.output
print(write_summary(snakemake.wildcards.project, given.merged, given.verifications, output.text, output.svg))
