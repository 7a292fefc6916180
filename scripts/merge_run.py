from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.merging import merge_run
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
given, params = snakemake.input, snakemake.params
merge_run(
    run=snakemake.wildcards.run,
    trained=Path(given.run).parent,
    base=given.base,
    quantisation=params.quantisation,
    test=given.test,
    parts=params.parts,
    evaluation=params.evaluation,
    exports=params.exports,
    folder=Path(snakemake.output[0]).parent,
)
