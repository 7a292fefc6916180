from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.convert import convert
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
tools, merged = (Path(snakemake.input[name]).parent for name in ("tools", "merged"))
convert(tools, merged, snakemake.output[0])
