"""The trainings under `checkpoints/`, and how those that nothing needs any more are removed.

python -m kalam.training.prune [CHECKPOINTS] [--results RESULTS] [--delete] [--unfinished DAYS]

Lists every training with its size, its state and whether the results are its own; removes nothing without
--delete. With it, finished trainings go that no result uses, and with --unfinished those that did not
finish and that nothing has touched for so many days. What a trainer holds, or a result uses, stays.
"""

import argparse
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from glob import iglob
from pathlib import Path

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.machine.lease import holder_now, lease

FINGERPRINT = re.compile(r"[0-9a-f]{16}")
DAY = 24 * 3600


@dataclass(frozen=True)
class Trained:
    """One folder `checkpoints/<project>/<name>/<fingerprint>/`."""

    folder: Path
    size: int  # bytes
    touched: float  # when a file of it was last written, in seconds since the epoch
    finished: bool
    holder: str  # who holds it now, or nothing
    used: bool  # whether a result was handed out from it

    @property
    def state(self) -> str:
        if self.holder:
            return f"held by {self.holder}"
        return "finished" if self.finished else "unfinished"

    def needless(self, unfinished_after: float | None) -> bool:
        """Whether it may go; an unfinished one only after so many seconds in which nothing touched it."""
        if self.holder or self.used:
            return False
        return self.finished or (unfinished_after is not None and time.time() - self.touched > unfinished_after)


def trainings(checkpoints: Path, results: Path) -> Iterator[Trained]:
    """Every training below `checkpoints`. Raises InputError where there are no results to hold them against."""
    if not results.is_dir():
        raise InputError(f"--results: found {results}; allowed is the folder of the results, which say what is used")
    if not checkpoints.is_dir():
        raise InputError(f"{checkpoints}: no such folder; allowed is that of the checkpoints")
    used = used_fingerprints(results)
    for folder in sorted(checkpoints.glob("*/*/*")):
        # What is linked lies elsewhere, and is not this folder's to remove.
        if folder.is_dir() and not folder.is_symlink() and FINGERPRINT.fullmatch(folder.name):
            files = [path.stat() for path in folder.rglob("*") if path.is_file()]
            yield Trained(
                folder,
                size=sum(file.st_size for file in files),
                touched=max((file.st_mtime for file in files), default=folder.stat().st_mtime),
                finished=(folder / "final" / "meta.json").exists(),
                holder=holder_now(folder),
                used=folder.name in used,
            )


def used_fingerprints(results: Path) -> set[str]:
    """The fingerprints of the trainings that were handed out to some result.

    Raises InputError for a file that cannot be read, and where no result is of a training: then these are
    not the results of the checkpoints.
    """
    found = set()
    for path in iglob(f"{results}/**/meta.json", recursive=True):  # unlike Path.rglob it follows links to folders
        try:
            meta = read_json(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        if not isinstance(meta, dict):
            raise InputError(f"{path}: found {type(meta).__name__}; allowed is a JSON object")
        found.add(meta.get("fingerprint"))
    if not found - {None}:
        raise InputError(
            f"--results: found {results}, in which nothing was trained; allowed is the folder of the results"
        )
    return found - {None}


def remove(training: Trained) -> None:
    """Remove a training's folder. Raises InputError where a trainer has taken it in the meantime."""
    with lease(training.folder):
        for path in training.folder.iterdir():
            if path.name != "lease":
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (training.folder / "lease").unlink()
    training.folder.rmdir()


def main(arguments: list[str]) -> None:
    """List, and with --delete remove."""
    parser = argparse.ArgumentParser(prog="python -m kalam.training.prune", description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoints", nargs="?", type=Path, default=Path("checkpoints"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--delete", action="store_true", help="remove the trainings marked so")
    parser.add_argument("--unfinished", type=float, metavar="DAYS", help="also unfinished ones, untouched so long")
    given = parser.parse_args(arguments)
    if given.unfinished is not None and not given.unfinished >= 0:
        raise InputError(f"--unfinished: found {given.unfinished:g}; allowed are 0 days or more")
    after = None if given.unfinished is None else given.unfinished * DAY
    freed = 0
    for training in trainings(given.checkpoints, given.results):
        needless = training.needless(after)
        words = [training.state, "used" if training.used else "not used"]
        if needless:
            freed += training.size
            words.append("removed" if given.delete else "to be removed")
        if needless and given.delete:
            remove(training)
        print(f"{training.folder}\t{training.size / 1e6:.1f} MB\t{', '.join(words)}")
    print(f"{freed / 1e6:.1f} MB {'freed' if given.delete else 'to be freed by --delete'}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
