from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.importance import importance
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
given, params = snakemake.input, snakemake.params
importance(Path(given.tools).parent, given.model, given.train, params.parts, params.chunks, snakemake.output[0])
