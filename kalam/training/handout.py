"""Finished files on their way from `checkpoints/` to `results/`."""

import shutil
from pathlib import Path

from kalam.files.atomic import atomic_write
from kalam.files.digests import digest_file


def hand_out(final: Path, folder: Path) -> None:
    """Copy a finished training's files into the results, each whole, `meta.json` last."""
    for source in sorted((p for p in final.rglob("*") if p.is_file()), key=lambda p: (p.name == "meta.json", p)):
        target = folder / source.relative_to(final)
        with open(source, "rb") as whole, atomic_write(target, "wb") as copy:
            shutil.copyfileobj(whole, copy)


def drop_checkpoints(folder: Path) -> None:
    """Remove what only a resumption needs from a finished training's folder; best, history and final stay."""
    for path in folder.glob("step-*"):
        path.unlink(missing_ok=True)


def file_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder, by relative name."""
    return {str(p.relative_to(folder)): digest_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
