from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import texts_of
from kalam.export.convert import importance
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
texts = texts_of(snakemake.input.train, snakemake.params.registers)
tools = Path(snakemake.input.tools).parent
importance(tools, snakemake.input.model, texts, snakemake.params.chunks, snakemake.output[0])
