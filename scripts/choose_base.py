from typing import TYPE_CHECKING

from kalam.export.convertible import require_convertible
from kalam.files.logs import log_to
from kalam.models.bases import write_base

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log_to(snakemake.log[0])
write_base(
    snakemake.params.base,
    snakemake.input.choice,
    snakemake.input.models,
    snakemake.input.run,
    require_convertible if snakemake.params.exported else None,
    snakemake.output[0],
)
