"""The embedded default with three seeds: how far its figures move.

python -m benchmarks.seeds
"""

import tempfile
from pathlib import Path

from benchmarks.workflow import copy_workflow, figures, machine, snakemake, write_result

SEEDS = (20, 21, 22)

if __name__ == "__main__":
    runs = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = copy_workflow(Path(temporary) / "kalam")
            seconds = snakemake(folder, "results/bangla/ppl.txt", "--config", f"seed={seed}")
            runs[seed] = {"seconds": round(seconds), "bits_per_byte": figures(folder, "bangla")}
            print(seed, runs[seed], flush=True)
    write_result("seeds", {"machine": machine(), "seeds": runs})
