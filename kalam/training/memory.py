"""What a training does when memory runs out: the same step with fewer tokens at a time."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.machine.devices import device_name
from kalam.machine.launch import START_AGAIN
from kalam.training.processes import Processes

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class MicroBatch:
    """How many times the context's tokens go through the model at once in each process; halved for good whenever
    memory runs out.

    What was found on a device is kept in `file`, for the next training of the same `key` (settings
    that decide the memory, as JSON). Where the model is `sharded` the processes need one another in
    the middle of a pass, so one that fails ends them all, with START_AGAIN, to be started again.
    """

    def __init__(self, size: int, file: Path | None = None, key: dict[str, Any] | None = None, sharded: bool = False):
        self.size, self.asked, self.file, self.sharded = size, size, file, sharded
        self.processes = Processes()
        self.key = {**(key or {}), "device": device_name()}
        found = _found(file)
        if found.get("key") == self.key:
            self.size = min(size, found["micro_batch"])

    def fit(self, work: Callable[[int], Result]) -> Result:
        """What `work` gives of the size that fits. It must do the same from its beginning when it is called again.

        The random state is put back before it is. Where one process fails, all of them halve. Raises
        InputError where a single context does not fit.
        """
        while True:
            states = random_states()
            result, reason = None, None
            try:
                result = work(self.size)
            except Exception as error:
                if not should_reduce_batch_size(error):
                    raise
                reason = str(error).splitlines()[0]
            alone = self.sharded and self.processes.count > 1
            if not (reason if alone else self.processes.any(bool(reason))):
                return result
            # Outside the handler, whose traceback holds on to what the failed pass has allocated.
            clear_device_cache(garbage_collection=True)
            self.halve(reason or "in another process")
            if alone:
                raise SystemExit(START_AGAIN)
            restore(states)

    def resume_with(self, size: int) -> None:
        """Take the size that a resumed training had, which with dropout decides its result, or the
        configured one where that is smaller; no more than was found where it had to be started again."""
        self.size = min(size, self.size if self.sharded else self.asked)

    def halve(self, reason: str) -> None:
        if self.size == 1:
            raise InputError(f"one window does not fit into memory ({reason}); allowed is a shorter context")
        self.size //= 2
        logger.warning("out of memory: going on with a micro-batch of %d (%s)", self.size, reason)
        if self.file and (self.processes.main or self.sharded):
            own = self.file.with_name(f"{self.file.name}.{self.processes.index}")  # several may write at once
            write_json(own, {"key": self.key, "micro_batch": self.size})
            own.replace(self.file)


def _found(file: Path | None) -> dict[str, Any]:
    """What was found on a device; nothing where that is not known, or no longer, which costs a failed pass."""
    try:
        return read_json(file) if file and file.exists() else {}
    except InputError as error:
        logger.warning("passing over what was learnt of the memory: %s", error)
        return {}


def random_states() -> list[torch.Tensor]:
    """Of the CPU and, where there is one, of the GPU."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def restore(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state(states[1])
