from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.upload import upload
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
folder = Path(snakemake.input.merged).parent
upload(snakemake.params.repository, folder, snakemake.input.files, snakemake.output[0])
