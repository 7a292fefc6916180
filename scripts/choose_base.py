from typing import TYPE_CHECKING

from kalam.export.convertible import require_convertible
from kalam.files.jsonl import read_json, write_json
from kalam.files.logs import log_to
from kalam.models.bases import base_of_model, base_of_run

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
choice, models, run = snakemake.input.choice, snakemake.input.models, snakemake.input.run
name = read_json(choice[0])["model"] if choice else snakemake.params.base
base = base_of_run(*run) if run else base_of_model(name, models)
if snakemake.params.exported and models:  # here, before anything is trained
    require_convertible(base["folder"])
write_json(snakemake.output[0], base)
