from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.quantise import quantise
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
matrix, tools = snakemake.input.matrix, Path(snakemake.input.tools).parent
quantise(tools, snakemake.input.model, snakemake.wildcards.quant, next(iter(matrix), None), snakemake.output[0])
