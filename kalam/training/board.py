"""The history of a training for TensorBoard."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kalam.files.jsonl import read_jsonl
from kalam.training.checkpoints import CheckpointFolder


@contextmanager
def board(checkpoints: CheckpointFolder) -> Iterator[None]:
    """Inside, each row of the history is also an event in the folder `tensorboard` beside it.

    The events are made anew from the history first, so a training that was resumed has no step twice.
    """
    from tensorboardX import SummaryWriter

    folder = checkpoints.folder / "tensorboard"
    shutil.rmtree(folder, ignore_errors=True)
    writer = SummaryWriter(str(folder), flush_secs=10)

    def add(row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "step":
                writer.add_scalar(name, value, row["step"])

    for row in read_jsonl(checkpoints.history):
        add(row)
    checkpoints.watchers.append(add)
    try:
        yield
    finally:
        checkpoints.watchers.remove(add)
        writer.close()
