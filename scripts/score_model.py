from typing import TYPE_CHECKING

from kalam.evaluation.systems import score_model
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
use_threads(snakemake.threads)
score_model(
    snakemake.params.module,
    snakemake.input.model,
    snakemake.params.head,
    snakemake.params.settings,
    {split: snakemake.input[split] for split in ("validation", "test")},
    {split: snakemake.output[split] for split in ("validation", "test")},
)
