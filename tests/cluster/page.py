"""docs/cluster.md, for tests that do what it says: they take their commands from there, by how each begins."""

import re

from pipeline import ROOT

TEXT = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^(?:    |      ).*\n)+", TEXT, re.MULTILINE)
SPANS = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", TEXT)]
# Every line of a block, by its beginning; what is not among these nobody tried.
TRIED = (
    "git clone",
    "cd kalam",
    "make setup setup-slurm",
    ". .venv/bin/activate",
    "account:",
    "cpu_partition:",
    "gpu_partition:",
    "hours:",
    "tmux new",
    "snakemake --workflow-profile profiles/slurm results/",
    "sbatch --partition=cpu",
    "snakemake --workflow-profile profiles/slurm --unlock",
    "squeue --me",
    "slurm_extra:",
    "pretrain: {gpu: 2",
    "pretrain: {gpu: 0",
    "apt-get install",
    "make test-slow",
)


def lines() -> list[str]:
    """The lines of all blocks."""
    return [line.strip() for block in BLOCKS for line in block.splitlines()]


def told(beginning: str, *values: str) -> str:
    """What the page tells one to type, that begins so, with values in place of its `<...>`, in their order.

    Raises AssertionError where it tells nothing so, or different things.
    """
    found = {text for text in [*lines(), *SPANS] if text.startswith(beginning)}
    assert len(found) == 1, f"docs/cluster.md has {found or 'nothing'} that begins with {beginning}"
    text, *rest = re.split("<[^>]+>", found.pop())
    return text + "".join(value + part for value, part in zip(values, rest, strict=True))
