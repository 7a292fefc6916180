from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.launch import launch
from kalam.training.pretrain import pretrain
from kalam.training.recipe import Recipe

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
training = snakemake.params.training
arguments = {
    "tokens": {split: snakemake.input[split] for split in ("train", "validation")},
    "tokenizer": str(Path(snakemake.input.tokenizer).parent),
    "task": snakemake.params.task,
    "architecture": snakemake.params.architecture,
    "recipe": training and asdict(Recipe.of(training, snakemake.params.seed)),
    "seed": snakemake.params.seed,
    "code": snakemake.params.code,
    "checkpoints": snakemake.params.checkpoints,
    "results": str(Path(snakemake.output.meta).parent),
}
launch(pretrain, arguments, snakemake.log[0], snakemake.threads, snakemake.resources.tasks)
