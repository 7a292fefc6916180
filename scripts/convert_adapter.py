from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.convert import convert_adapter
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
given, output = snakemake.input, snakemake.output
convert_adapter(Path(given.tools).parent, Path(given.run).parent / "adapter", given.base, output.adapter, output.base)
