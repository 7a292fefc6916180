from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.verify import verify
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
given, params = snakemake.input, snakemake.params
verify(
    run=snakemake.wildcards.run,
    kind=snakemake.wildcards.quant,
    tools=Path(given.tools).parent,
    gguf=given.gguf,
    model=Path(given.merged).parent,
    test=given.test,
    parts=params.parts,
    evaluation=params.evaluation,
    exports=params.exports,
    target=snakemake.output[0],
)
