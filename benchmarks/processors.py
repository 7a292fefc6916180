"""The embedded default with the instructions of a lesser processor: how far its figures move.

python -m benchmarks.processors

A stand-in for another machine: kernels for AVX2 add in another order than those for AVX-512.
"""

import tempfile
from pathlib import Path

from benchmarks.workflow import copy_workflow, figures, machine, snakemake, write_result

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}

if __name__ == "__main__":
    runs = {}
    for name, environment in {"all": {}, "AVX2": AVX2}.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = copy_workflow(Path(temporary) / "kalam")
            seconds = snakemake(folder, "results/bangla/ppl.txt", **environment)
            runs[name] = {"seconds": round(seconds), "bits_per_byte": figures(folder, "bangla")}
            print(name, runs[name], flush=True)
    one, other = (run["bits_per_byte"] for run in runs.values())
    assert one.keys() == other.keys(), "another base was chosen"
    furthest = max(abs(one[name][register] - other[name][register]) for name in one for register in one[name])
    print(f"furthest apart: {furthest:.4f}")
    write_result("processors", {"machine": machine(), "instructions": runs, "furthest_apart": furthest})
