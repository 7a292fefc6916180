"""Checkpoints that survive any kill: written whole, verified when read, one trainer at a time."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from kalam.files.atomic import atomic_write
from kalam.files.digests import digest_file
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl, write_json, write_jsonl
from kalam.machine.lease import lease

logger = logging.getLogger(__name__)

KEPT = 2


class CheckpointFolder:
    """The folder `checkpoints/<project>/<run>/<fingerprint>/` of one training.

    step-*.safetensors + step-*.json   a checkpoint; valid when the JSON is there and its digest holds
    best.safetensors                   the trainable weights with the lowest validation loss
    history.jsonl                      a row per step and per evaluation; each is shown to the watchers as well
    final/                             what the training yields, whole or absent

    Of several processes only the main one writes; of the others, nothing is ever written.
    """

    def __init__(self, folder: str | Path, writes: bool = True):
        self.folder, self.writes = Path(folder), writes
        self.folder.mkdir(parents=True, exist_ok=True)
        self.best = self.folder / "best.safetensors"
        self.history = self.folder / "history.jsonl"
        self.final = self.folder / "final"
        self.watchers: list[Callable[[dict[str, Any]], None]] = []
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
        write_json(self.folder / f"{name}.json", {**state, "sha256": digest_file(weights)})
        for old in self._steps()[:-KEPT]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def keep_best(self, weights: dict[str, torch.Tensor]) -> None:
        """Write the trainable weights that are the best so far."""
        if self.writes:
            self.require_lease()
            save_tensors(self.best, weights)

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The newest valid checkpoint, or None; an invalid one is passed over with a line in the log."""
        for path in reversed(self._steps()):
            weights = path.with_suffix(".safetensors")
            try:
                state = read_json(path)
                if digest_file(weights) != state.pop("sha256"):
                    raise InputError(f"{weights}: its digest is not the one written beside it")
                return load_file(weights), state
            except (OSError, KeyError, ValueError) as error:
                logger.warning("passing over a damaged checkpoint: %s", error)
        return None

    def truncate_history(self, step: int, evaluated: int) -> None:
        """Forget what is made again: steps after `step`, evaluations after step `evaluated`."""
        if not self.writes:
            return
        self.require_lease()
        rows = list(_whole_rows(self.history)) if self.history.exists() else []
        last = {True: evaluated, False: step}
        write_jsonl(self.history, [row for row in rows if row["step"] <= last["validation_loss" in row]])

    def append_history(self, row: dict[str, Any]) -> None:
        """Add a row; a kill can cut the last line, which truncate_history forgets."""
        if not self.writes:
            return
        self.require_lease()
        with open(self.history, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
        for watcher in self.watchers:
            watcher(row)

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.json"))


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, atomically."""
    with atomic_write(path, "wb") as handle:
        handle.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def _whole_rows(path: Path) -> Iterator[dict[str, Any]]:
    rows = read_jsonl(path)
    try:
        yield from rows
    except InputError:
        return
