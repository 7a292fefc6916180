"""What processes of a training are made to suffer: each function is `adapt` with something in its way."""

import atexit
import os
import signal
from pathlib import Path

RANK = int(os.environ.get("RANK", 0))


def in_chunks(**arguments):
    """The loss is made some rows at a time, as if the vocabulary were large."""
    from kalam.models import head

    head.LARGE = 500
    _adapt(arguments)


def watched(**arguments):
    """Whoever has not parted from the others by its end fails."""
    from torch import distributed

    atexit.register(lambda: distributed.is_initialized() and os._exit(1))
    _adapt(arguments)


def narrow(**arguments):
    """The second process has no room for more than one window at a time, in its third pass and after."""
    _narrow(arguments, 2)


def narrow_later(**arguments):
    """The same after some steps, and their checkpoints, of a first start."""
    _narrow(arguments, 0 if list(Path(arguments["checkpoints"]).glob("*/step-*.json")) else 14)


def _narrow(arguments, passes):
    import torch

    from kalam.tasks.causal import Task

    loss, calls = Task.loss, []

    def fails(self, model, batch):
        calls.append(batch)
        if RANK == 1 and len(calls) > passes and len(batch["labels"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss(self, model, batch)

    Task.loss = fails
    _adapt(arguments)


def stopped(**arguments):
    """The second process alone is told to stop, in its sixth pass; only once."""
    from kalam.tasks.causal import Task

    loss, calls, done = Task.loss, [], Path(arguments["checkpoints"]) / "stopped"

    def acts(self, model, batch):
        calls.append(batch)
        if RANK == 1 and len(calls) == 6 and not done.exists():
            done.touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, model, batch)

    Task.loss = acts
    _adapt(arguments)


def _adapt(arguments):
    from kalam.training.adapt import adapt

    adapt(**arguments)
