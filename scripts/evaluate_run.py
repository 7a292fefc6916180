from typing import TYPE_CHECKING

from kalam.evaluation.run_files import evaluate_run
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
params = snakemake.params
evaluate_run(
    params.module,
    {"project": snakemake.wildcards.project, "run": snakemake.wildcards.run, **params.settings},
    snakemake.input.base,
    list(zip(params.systems, snakemake.input.scores, strict=True)),
    {split: snakemake.input[split] for split in ("validation", "test") if split in snakemake.input.keys()},  # noqa: SIM118
    params.resamples,
    params.seed,
    snakemake.output,
)
