"""Checkpoints that survive any kill: written whole, verified when read, one trainer at a time."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from kalam.files.atomic import atomic_write, needs_room, sync
from kalam.files.digests import digest_file
from kalam.files.errors import InputError, first_line
from kalam.files.sealed import SEAL, read_sealed, write_sealed
from kalam.machine.lease import lease

logger = logging.getLogger(__name__)

KEPT = 2


class CheckpointFolder:
    """The folder `checkpoints/<project>/<run>/<fingerprint>/` of one training.

    step-*.safetensors + step-*.json   a checkpoint; valid when all digests in the JSON hold: its own, those of its
                                       weights and of the history so far
    best.safetensors                   the trainable weights with the lowest validation loss, and their digest
    history.jsonl                      a row per step and per evaluation; each is shown to the watchers as well
    final/                             what the training yields, whole or absent
    final.json                         the digest of its meta.json, which has those of its files

    Of several processes only the main one writes; of the others, nothing is ever written.
    """

    def __init__(self, folder: str | Path, writes: bool = True):
        self.folder, self.writes = Path(folder), writes
        self.folder.mkdir(parents=True, exist_ok=True)
        self.best = self.folder / "best.safetensors"
        self.history = self.folder / "history.jsonl"
        self.final = self.folder / "final"
        self.watchers: list[Callable[[dict[str, Any]], None]] = []
        self._history_bytes = 0  # as many as the checkpoint that was loaded tells of
        self.require_lease: Callable[[], None] = lambda: None  # ends the process where it lost the folder

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the folder, cleared of what a kill left half-written.

        Raises InputError where another holds it.
        """
        if not self.writes:
            yield
            return
        with lease(self.folder) as self.require_lease:
            for left in self.folder.glob(".*.tmp"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield

    def save(self, step: int, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Write a checkpoint and drop all but the newest; `state` is JSON."""
        if not self.writes:
            return
        self.require_lease()
        name = f"step-{step:08d}"
        weights = self.folder / f"{name}.safetensors"
        save_tensors(weights, tensors)
        self.history.touch()
        sync(self.history)
        write_sealed(
            self.folder / f"{name}.json", {**state, "sha256": digest_file(weights), "history": _content(self.history)}
        )
        sync(self.folder)
        for old in self._steps()[:-KEPT]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def keep_best(self, weights: dict[str, torch.Tensor]) -> None:
        """Write the trainable weights that are the best so far, with their digest in the same file, so that a kill
        leaves those before or these."""
        if not self.writes:
            return
        self.require_lease()
        plain = on_cpu(weights)
        seal = {SEAL: sha256(save(plain)).hexdigest()}
        with atomic_write(self.best, "wb") as handle:
            handle.write(save(plain, seal))

    def load_best(self) -> dict[str, torch.Tensor]:
        """The trainable weights that were the best. Raises InputError where they are damaged."""
        try:
            with safe_open(self.best, "pt") as file:
                digest = file.metadata()[SEAL]
            weights = load_file(self.best)
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise InputError(f"{self.best}: cannot be read: {first_line(error)}") from None
        if digest != sha256(save(weights)).hexdigest():
            raise InputError(f"{self.best}: its digest is not the one written in it; run again to have it made")
        return weights

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The newest valid checkpoint, or None; an invalid one is passed over with a line in the log.

        One whose best weights are lost is of use where better ones were found after it, as they will be again.
        `state["progress"]` says which step it is of, and of which the best ones (-1 where there were none).
        """
        later = -1  # the step of best weights that a newer checkpoint tells of
        for path in reversed(self._steps()):
            weights = path.with_suffix(".safetensors")
            try:
                state = read_sealed(path)
                if digest_file(weights) != state.pop("sha256"):
                    raise InputError(f"{weights}: its digest is not the one written beside it")
                history = state.pop("history")
                if _content(self.history, history["bytes"]) != history:
                    raise InputError(f"{self.history}: its digest until then is not the one written beside the weights")
                before, progress = later, state["progress"]
                later = max(later, progress["best_step"])
                if progress["best_step"] >= 0 and before <= progress["step"]:
                    self.load_best()
                tensors = load_file(weights)
                self._history_bytes = history["bytes"]
                return tensors, state
            except (OSError, KeyError, TypeError, ValueError) as error:
                logger.warning("passing over a damaged checkpoint, %s: %s", path.stem, error)
        return None

    def truncate_history(self) -> None:
        """Forget the rows after the checkpoint that was loaded, which are made again; all of them where none was."""
        if not self.writes:
            return
        self.require_lease()
        self.history.touch()
        os.truncate(self.history, self._history_bytes)

    def append_history(self, row: dict[str, Any]) -> None:
        """Add a row; a kill can cut the last line, which truncate_history forgets."""
        if not self.writes:
            return
        self.require_lease()
        with needs_room(self.history), open(self.history, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
        for watcher in self.watchers:
            watcher(row)

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.json"))


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, atomically."""
    with atomic_write(path, "wb") as handle:
        handle.write(save(on_cpu(tensors)))


def on_cpu(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _content(file: Path, size: int | None = None) -> dict[str, Any]:
    """The length and the digest of a file, or of its first bytes."""
    with open(file, "rb") as handle:
        content = handle.read(size)
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}
