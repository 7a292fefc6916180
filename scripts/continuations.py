from pathlib import Path
from typing import TYPE_CHECKING

from kalam.corpus.documents import documents_of
from kalam.evaluation.continuations import continue_text, openings, page
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.models.adapters import load_adapted
from kalam.text.tokens import load_tokenizer
from kalam.training.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
params, base = snakemake.params, read_json(snakemake.input.base)
model = load_adapted(base, Path(snakemake.input.run).parent / "adapter", params.quantisation)
tokenizer = load_tokenizer(base["folder"])
rows = []
documents = documents_of(snakemake.input.test, params.registers)
for seed, (opening, rest) in enumerate(openings(documents, params.openings), start=params.seed):
    length = min(len(rest), params.length)
    adapted = continue_text(model, tokenizer, opening, length, seed)
    with model.disable_adapter():
        untouched = continue_text(model, tokenizer, opening, length, seed)
    rows.append({"opening": opening, "text": rest[:length], "base": untouched, "adapted": adapted})
with atomic_write(snakemake.output[0]) as handle:
    handle.write(page(f"{snakemake.wildcards.project}: {snakemake.wildcards.run}", params.language, rows))
