from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kalam.data.selection import documents_of
from kalam.evaluation.continuations import continuations_page, continue_text, openings
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.machine.devices import use_devices
from kalam.machine.threads import use_threads
from kalam.models.adapters import load_adapted, load_begun
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_devices(snakemake.resources.gpu)
use_threads(snakemake.threads)
params, base = snakemake.params, read_json(snakemake.input.base)
tokenizer = load_tokenizer(base["folder"])
documents = documents_of(snakemake.input.test, params.registers)
rows = [{"opening": opening, "text": rest[: params.length]} for opening, rest in openings(documents, params.openings)]
adapted = partial(load_adapted, run=Path(snakemake.input.run).parent)
for column, load in (("base", load_begun), ("adapted", adapted)):
    model = load(base, quantisation=params.quantisation)
    for seed, row in enumerate(rows, start=params.seed):
        row[column] = continue_text(model, tokenizer, row["opening"], len(row["text"]), seed)
title = f"{snakemake.wildcards.project}: {snakemake.wildcards.run}"
with atomic_write(snakemake.output[0]) as handle:
    handle.write(continuations_page(title, params.language, rows))
