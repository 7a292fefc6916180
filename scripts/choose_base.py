from pathlib import Path
from typing import TYPE_CHECKING

from kalam.files.jsonl import read_json, write_json
from kalam.files.logs import log_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
name = read_json(snakemake.input.choice[0])["model"] if snakemake.input.choice else snakemake.params.base
folder = next(Path(meta).parent for meta in snakemake.input.models if Path(meta).parent.name == name)
meta = read_json(folder / "meta.json")
write_json(
    snakemake.output[0],
    {
        "model": name,
        "folder": str(folder),
        "digest": meta["digest"],
        "remote_code": meta.get("remote_code", False),
    },
)
