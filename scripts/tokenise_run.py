from typing import TYPE_CHECKING

from kalam.files.jsonl import WHOLE
from kalam.files.logs import log_to
from kalam.training.tokenise import tokenise_run

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
names = snakemake.wildcards
tokenise_run(
    snakemake.params.task,
    snakemake.input.base,
    {split: snakemake.input[split] for split in ("train", "validation")},
    snakemake.params.parts,
    snakemake.params.weights,
    {split: snakemake.output[split] for split in ("train", "validation")},
    (int(names.shard), int(names.shards)) if names.get("shard") else WHOLE,
)
