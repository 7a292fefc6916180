"""Bangla on real texts, from the files to ppl.txt: bits per byte, seconds, memory.

python -m benchmarks.real_bangla
"""

import os
import tempfile
from pathlib import Path

from benchmarks.workflow import ROOT, copy_workflow, figures, machine, peak_memory_gb, snakemake, write_result

DATA = Path(os.environ.get("KALAM_DATA", ROOT.parent / "shared" / "data")).resolve()

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_workflow(Path(temporary) / "kalam")
        config = (ROOT / "benchmarks" / "real_bangla.yaml").read_text().replace("{data}", str(DATA))
        (folder / "real.yaml").write_text(config)
        seconds = snakemake(folder, "results/bangla_real/ppl.txt", "--configfile", "real.yaml")
        print((folder / "results/bangla_real/ppl.txt").read_text())
        write_result(
            "real_bangla",
            {
                "machine": machine(),
                "seconds": round(seconds),
                "peak_memory_gb": peak_memory_gb(),
                "bits_per_byte": figures(folder, "bangla_real"),
            },
        )
