"""A model of another script, adapted with its own vocabulary and with an extended one: tokens and bits per byte.

python -m benchmarks.extension        (the texts that come with the project)

Both runs have the same steps of the same tokens, so the extended one reads more text and has more to train: the
rows of its new pieces.
"""

import tempfile
from pathlib import Path

from benchmarks.workflow import ROOT, copy_workflow, figures, machine, snakemake, write_result
from kalam.files.tables import read_tsv

PROJECT = "tamil_from_bangla"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_workflow(Path(temporary) / "kalam")
        snakemake(folder, "results/bangla/models/llama/meta.json")
        config = (ROOT / "benchmarks/extension.yaml").read_text()
        (folder / "extension.yaml").write_text(config.replace("{base}", "results/bangla/models/llama"))
        snakemake(folder, f"results/{PROJECT}/ppl.txt", "--configfile", "extension.yaml")
        print((folder / f"results/{PROJECT}/ppl.txt").read_text())
        tokens = read_tsv(folder / f"results/{PROJECT}/models/extended/tokens_per_byte.tsv")
        write_result(
            "extension",
            {
                "machine": machine(),
                "tokens_per_byte": {
                    row["register"]: {name: float(row[f"{name}_tokens_per_byte"]) for name in ("base", "extended")}
                    for row in tokens
                },
                "bits_per_byte": figures(folder, PROJECT, "bits_per_byte"),
            },
        )
