from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.training.tokenise import tokenise

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
tokenise(
    snakemake.params.task,
    Path(snakemake.input.tokenizer).parent,
    {split: snakemake.input[split] for split in ("train", "validation")},
    snakemake.params.parts,
    {split: snakemake.output[split] for split in ("train", "validation")},
    (int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
)
