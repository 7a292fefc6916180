"""The history of a training for TensorBoard."""

import struct

import pytest
from tensorboardX.proto.event_pb2 import Event

from kalam.files.jsonl import read_jsonl
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.loop import train
from kalam.training.recipe import Recipe
from kalam.training.sharding import Learner


def events(folder) -> list[tuple[int, str, float]]:
    """Step, tag and value of every event in TensorBoard's files: records of a length, a checksum, data, a checksum."""
    found = []
    for file in sorted(folder.iterdir()):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            place += 12 + length + 4
    return found


def test_the_history_is_there_for_tensorboard_each_step_once(tiny, causal, windows, tmp_path):
    recipe = Recipe(5, 1e-2, steps=10, context=16, evaluate_every=5, save_every=3, tensorboard=True)
    store = CheckpointFolder(tmp_path / "run")
    train(Learner(tiny(), "fp32"), causal, windows, windows, recipe, store)
    for state in sorted(store.folder.glob("step-*.json"))[1:]:
        state.unlink()  # as if killed later than it saved
    train(Learner(tiny(), "fp32"), causal, windows, windows, recipe, store)
    rows = [(row["step"], name, value) for row in read_jsonl(store.history) for name, value in row.items()]
    expected = [row for row in rows if row[1] != "step"]
    found = events(store.folder / "tensorboard")
    assert len(expected) == 10 * 4 + 3 * 2
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], rel=1e-6)
