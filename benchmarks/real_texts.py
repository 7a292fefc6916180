"""A project on real texts, from the files to ppl.txt: its figures, seconds, memory.

python -m benchmarks.real_texts bangla        (or tamil; the texts are in KALAM_DATA)
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.workflow import ROOT, copy_workflow, figures, machine, peak_memory_gb, snakemake, write_result

DATA = Path(os.environ.get("KALAM_DATA", ROOT.parent / "shared" / "data")).resolve()

if __name__ == "__main__":
    name = f"real_{sys.argv[1]}"
    project = f"{sys.argv[1]}_real"
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_workflow(Path(temporary) / "kalam")
        config = (ROOT / "benchmarks" / f"{name}.yaml").read_text().replace("{data}", str(DATA))
        (folder / "real.yaml").write_text(config)
        seconds = snakemake(folder, f"results/{project}/ppl.txt", "--configfile", "real.yaml")
        print((folder / f"results/{project}/ppl.txt").read_text())
        result = {"machine": machine(), "seconds": round(seconds), "peak_memory_gb": peak_memory_gb()}
        found = {metric: figures(folder, project, metric) for metric in ("bits_per_byte", "masked_nll")}
        write_result(name, result | {metric: some for metric, some in found.items() if some})
