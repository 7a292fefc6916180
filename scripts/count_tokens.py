from typing import TYPE_CHECKING

from kalam.evaluation.hidden_tokens import write_floor
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
write_floor(
    snakemake.input.base,
    snakemake.input.train,
    snakemake.params.parts,
    {split: snakemake.input[split] for split in ("validation", "test")},
    {split: snakemake.output[split] for split in ("validation", "test")},
)
