from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.models.download import fetch

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
fetch(snakemake.params.model, snakemake.params.head, Path(snakemake.output[0]).parent)
