from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.launch import launch
from kalam.training.adapt import adapt
from kalam.training.recipe import Recipe

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
run = snakemake.params.run
arguments = {
    "base": read_json(snakemake.input.base),
    "tokens": {split: snakemake.input[split] for split in ("train", "validation")},
    "task": snakemake.params.task,
    "lora": run["lora"] if run["tuning"] == "lora" else None,
    "quantisation": run["quantisation"],
    "recipe": asdict(Recipe.of(run["training"], snakemake.params.seed)),
    "code": snakemake.params.code,
    "checkpoints": snakemake.params.checkpoints,
    "results": str(Path(snakemake.output.meta).parent),
}
launch(adapt, arguments, snakemake.log[0], snakemake.threads, snakemake.resources.tasks)
