from typing import TYPE_CHECKING

from kalam.evaluation.ngram import write_floors
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
write_floors(
    {split: snakemake.input[split] for split in ("train", "validation", "test")},
    snakemake.params.parts,
    snakemake.params.orders,
    {floor: snakemake.output[floor] for floor in snakemake.params.parts},
    snakemake.output.meta,
)
