"""From a trained run to verified files: time, and size and divergence of every type.

python -m benchmarks.export [bangla|tamil ...]

The embedded default is trained first, and llama.cpp built where no run of this checkout has done so; neither
is in the time. Beside the seconds on the clock stand those that the processors worked.
"""

import json
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.workflow import ROOT, copy_workflow, machine, snakemake, write_result

KEPT = ("size", "divergence", "agreement", "bits_per_byte", "original_bits_per_byte", "continuations", "load_seconds")
KINDS = ["f16", "q8_0", "q6_k", "q4_k_m"]


def worked() -> float:
    """Processor seconds of the processes this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, project: str) -> dict:
    (tools,) = re.findall(r'"version": "(.+)"', (ROOT / "rules/export.smk").read_text(encoding="utf-8"))
    snakemake(folder, f"results/{project}/ppl.txt", f"results/.tools/llama.cpp-{tools}/manifest.json")
    before = worked()
    seconds = snakemake(folder, f"results/{project}/exports.txt")
    processor = worked() - before
    files = sorted((folder / f"results/{project}/exports").glob("*.json"))
    found = {file.stem: json.loads(file.read_text()) for file in files}
    merged = json.loads((folder / f"results/{project}/exports/adapt/meta.json").read_text())["figures"]
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "merged": {key: merged[key] for key in KEPT if key in merged},
        **{name: {key: figures[key] for key in KEPT} for name, figures in found.items()},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_workflow(Path(temporary) / "kalam")
        file = folder / "config/config.yaml"
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, project in config["projects"].items():
            # The adapter alone of Tamil's Gemma is refused: llama.cpp takes another scale of its queries.
            project["exports"] = {"runs": ["adapt"], "quantisations": KINDS, "adapter": name == "bangla"}
        file.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
        if (ROOT / "results/.tools").is_dir():
            shutil.copytree(ROOT / "results/.tools", folder / "results/.tools", symlinks=True)
        results = {name: measure(folder, name) for name in sys.argv[1:] or ["bangla", "tamil"]}
    write_result("export", {"machine": machine(), "projects": results})
