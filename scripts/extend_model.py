from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.machine.threads import use_threads
from kalam.models.extension import extend_vocabulary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
extend_vocabulary(
    Path(snakemake.input.base).parent,
    snakemake.params.head,
    snakemake.params.pieces,
    {split: snakemake.input[split] for split in ("train", "validation")},
    snakemake.params.parts,
    Path(snakemake.output.meta).parent,
    snakemake.output.tokens,
)
