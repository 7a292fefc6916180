from typing import TYPE_CHECKING

from kalam.data.selection import documents_of, texts_of
from kalam.evaluation.ngram import choose_order, floor_rows
from kalam.files.jsonl import write_json, write_jsonl
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
documents = documents_of(snakemake.input.test)
orders = {}
for floor, registers in snakemake.params.registers.items():
    train, validation = (texts_of(snakemake.input[split], registers) for split in ("train", "validation"))
    model = choose_order(train, validation, snakemake.params.orders)
    orders[floor] = model.order
    write_jsonl(snakemake.output[floor], floor_rows(model, documents))
write_json(snakemake.output.meta, {"registers": snakemake.params.registers, "orders": orders})
