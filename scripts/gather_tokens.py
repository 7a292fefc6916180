from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.training.packing import TokenStream

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
for split in ("train", "validation"):
    TokenStream.join(list(snakemake.input[split]), snakemake.output[split])
