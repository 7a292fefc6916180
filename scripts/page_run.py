from typing import TYPE_CHECKING

from kalam.evaluation.systems import page_of_run
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
use_threads(snakemake.threads)
params = snakemake.params
page_of_run(
    params.module,
    f"{snakemake.wildcards.project}: {snakemake.wildcards.run}",
    params.language,
    snakemake.input.base,
    snakemake.input.run,
    params.quantisation,
    params.head,
    {split: snakemake.input[split] for split in ("train", "test")},
    params.parts,
    params.settings,
    snakemake.output[0],
)
