from typing import TYPE_CHECKING

from kalam.evaluation.run_files import evaluate_run
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
params = snakemake.params
about = {"project": snakemake.wildcards.project, "run": snakemake.wildcards.run, **params.settings}
if "run" in snakemake.input.keys():  # noqa: SIM118 a Namedlist is no mapping
    about["outcome"] = read_json(snakemake.input.run)["outcome"]
evaluate_run(
    params.module,
    about,
    snakemake.input.base,
    list(zip(params.systems, snakemake.input.scores, strict=True)),
    {split: snakemake.input[split] for split in ("validation", "test") if split in snakemake.input.keys()},  # noqa: SIM118
    params.resamples,
    params.seed,
    snakemake.output,
)
