from pathlib import Path
from typing import TYPE_CHECKING

from kalam.export.convert import convert, convert_adapter
from kalam.files.jsonl import read_json
from kalam.files.logs import log_to
from kalam.machine.threads import use_threads

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
use_threads(snakemake.threads)
tools, run = (Path(snakemake.input[name]).parent for name in ("tools", "run"))
base = read_json(snakemake.input.base)["folder"]
convert(tools, base, snakemake.output.base)
convert_adapter(tools, run / "adapter", base, snakemake.output.adapter)
