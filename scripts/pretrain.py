from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.training.pretrain import pretrain
from kalam.training.recipe import Recipe
from kalam.training.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
training = snakemake.params.training
pretrain(
    tokens={split: snakemake.input[split] for split in ("train", "validation")},
    tokenizer=Path(snakemake.input.tokenizer).parent,
    task=snakemake.params.task,
    architecture=snakemake.params.architecture,
    recipe=training and Recipe.of(training, snakemake.params.seed),
    seed=snakemake.params.seed,
    code=snakemake.params.code,
    checkpoints=snakemake.params.checkpoints,
    results=Path(snakemake.output.meta).parent,
)
