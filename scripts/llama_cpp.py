from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.tools import build_tools
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
build_tools(snakemake.params.release, Path(snakemake.output[0]).parent, snakemake.threads)
