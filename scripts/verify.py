from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of
from kalam.export.verify import verify
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
params, given = snakemake.params, snakemake.input
verify(
    Path(given.tools).parent,
    given.gguf,
    Path(given.merged).parent,
    snakemake.wildcards.quant,
    documents_of(given.test, params.registers),
    params.evaluation,
    params.exports,
    snakemake.output[0],
)
