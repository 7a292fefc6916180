"""What a result was made with: configuration, versions, revision, seed."""

import platform
import subprocess
from typing import Any

from kalam.files.code import ROOT
from kalam.files.versions import installed

PACKAGES = ("snakemake", "torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate", "trafilatura")


def provenance(project: dict[str, Any], seed: int) -> dict[str, Any]:
    """The resolved configuration of a project, the versions of what matters, the git revision, the seed."""
    return {
        "config": project,
        "seed": seed,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": installed(PACKAGES),
        "revision": _git("rev-parse", "HEAD"),
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _git(*arguments: str) -> str | None:
    """What git says, or None where there is no git or no repository around this code."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
