from typing import TYPE_CHECKING

from kalam.evaluation.answers import write_floor
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
given, params = snakemake.input, snakemake.params
write_floor(
    {split: given[split] for split in ("train", "validation", "test")}, params.parts, params.orders, snakemake.output[0]
)
