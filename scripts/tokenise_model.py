from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.training.tokenise import tokenise_model

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
tokenise_model(
    snakemake.params.task,
    snakemake.params.tokenizer,
    {split: snakemake.input[split] for split in ("train", "validation")},
    snakemake.params.parts,
    Path(snakemake.output.tokenizer).parent,
    {split: snakemake.output[split] for split in ("train", "validation")},
)
