"""Padded examples: the labels of each, what is left out, and that a batch is its examples one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.tasks.instruct import Task
from kalam.text.tokens import IGNORED
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.engine import fit
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.padding import PaddedExamples
from kalam.training.recipe import Recipe

RECIPE = {
    "seed": 5,
    "steps": 6,
    "learning_rate": 1e-2,
    "batch": 4,
    "micro_batch": 1,
    "schedule": "constant",
    "warmup": 0,
    "evaluate_every": 6,
    "precision": "fp32",
    "gradient_checkpointing": False,
}

CONVERSATIONS = [
    [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    for question, answer in [
        ("বৃষ্টি কোথায় পড়ে?", "নদে।"),
        ("মழை?", "பெய்கிறது; க்ஷேமம் எல்லோருக்கும், மழை பெய்கிறது."),
        ("كِتَابٌ?", "على الطاولة"),
        ("কী?", "না"),
        ("کجاست", "نمی‌دانم که خانه‌ها کجاست"),
    ]
]


@pytest.fixture(scope="module")
def conversations(tokenizer) -> TokenStream:
    rows = [{"id": str(number), "messages": messages} for number, messages in enumerate(CONVERSATIONS)]
    made = list(Task.encode(tokenizer, rows))
    return TokenStream.of([each["tokens"] for each in made], answer=[each["answer"] for each in made])


def test_only_answers_are_labels(tokenizer, conversations):
    examples = PaddedExamples(conversations, 256)
    assert len(examples) == 5 and examples.left_out == 0
    for index, (_, answer) in enumerate(CONVERSATIONS):
        example = examples[index]
        labels = example["labels"][example["labels"] != IGNORED]
        assert tokenizer.decode(labels) == answer["content"] + "</s>"
        assert examples.labels(index) == len(labels)
        assert examples.costs[index] == len(example["input_ids"])
        # each label is the token after the one it is predicted from
        following = np.append(example["input_ids"][1:], IGNORED)
        known = (example["labels"] != IGNORED) & (following != IGNORED)
        assert (example["labels"][known] == following[known]).all()
    assert examples.targets == sum(map(examples.labels, range(5)))


def test_what_is_longer_than_the_context_is_left_out_and_counted(conversations):
    every = PaddedExamples(conversations, 256)
    context = int(np.sort(every.costs)[2])
    some = PaddedExamples(conversations, context)
    assert (len(some), some.left_out) == (int((every.costs <= context).sum()), int((every.costs > context).sum()))
    assert some.costs.max() == context
    assert PaddedExamples(conversations, context - 1).left_out == some.left_out + 1


def test_what_has_no_answer_is_left_out():
    marks = [[True, False, False], [False, False, True], [True], []]
    examples = PaddedExamples(TokenStream.of([[5, 6, 7], [8, 9, 10], [11], []], answer=marks), 8)
    assert (len(examples), examples.left_out) == (1, 3)
    assert examples[0]["labels"].tolist() == [IGNORED, 10]


def test_a_stream_without_answers_is_refused():
    with pytest.raises(InputError, match="do not say which of them are answers"):
        PaddedExamples(TokenStream.of([[1, 2]]), 8)


@pytest.mark.parametrize("shape", ["llama", "gemma3", "xglm", "mistral"])
def test_a_batch_is_its_examples_one_by_one(tiny, tokenizer, conversations, shape):
    task, model = Task(tokenizer), tiny(shape)
    examples = PaddedExamples(conversations, 256)
    together = task.collate([examples[i] for i in range(5)], [(0,)] * 5)
    alone = [task.collate([examples[i]], [(0,)]) for i in range(5)]
    with torch.no_grad():
        logits = task.logits(model, together)
        for index, single in enumerate(alone):
            own = task.logits(model, single)[0]
            assert torch.allclose(logits[index, : len(own)], own, atol=1e-5)
        whole, count = task.loss(model, together)
        parts = [task.loss(model, single) for single in alone]
    assert float(whole) == pytest.approx(sum(float(loss) for loss, _ in parts), rel=1e-5)
    assert int(count) == sum(int(labels) for _, labels in parts) == examples.targets


@pytest.fixture
def go(tiny, tokenizer, conversations, tmp_path):
    """A short training on the conversations."""
    conversations.save(tmp_path / "tokens")

    def run(context: int, **changes):
        recipe = Recipe(**RECIPE | {"context": context} | changes)
        store = CheckpointFolder(tmp_path / f"run{context}")
        tokens = dict.fromkeys(("train", "validation"), str(tmp_path / "tokens"))
        return fit(tiny(), Task(tokenizer), tokens, recipe, store), list(read_jsonl(store.history))

    return run


def test_a_training_counts_what_it_leaves_out(go, conversations, caplog):
    longest = int(PaddedExamples(conversations, 256).costs.max())
    with caplog.at_level("WARNING"):
        outcome, history = go(longest - 1)
    assert outcome["left_out"] == {"train": 1, "validation": 1}
    assert f"train: 1 of 5 are longer than {longest - 1} tokens and left out" in caplog.text
    losses = [row["loss"] for row in history if "loss" in row]
    assert losses[-1] < losses[0] - 0.3
    labels = PaddedExamples(conversations, longest - 1).targets
    assert outcome["tokens"] == 6 * labels  # six epochs of four
    assert "left_out" not in go(longest)[0]


def test_nothing_to_learn_from_says_why(go):
    with pytest.raises(InputError, match="no token to predict in the train split of its parts: all 5 are longer"):
        go(4)


def test_the_micro_batch_changes_no_loss(go):
    found = [[row["loss"] for row in go(200 + size, micro_batch=size)[1] if "loss" in row] for size in (1, 2, 4)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0] == pytest.approx(found[2], abs=1e-5)


@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any),
    context=st.integers(1, 9),
    lookahead=st.sampled_from([0, 1]),
)
def test_the_labels_of_packed_windows_are_known_before_they_are_made(lengths, context, lookahead):
    stream = TokenStream.of([[7] * length for length in lengths])
    windows = PackedWindows(stream, context, lookahead=lookahead)
    made = [int((windows[index]["labels"] != IGNORED).sum()) for index in range(len(windows))]
    assert [windows.labels(index) for index in range(len(windows))] == made
    assert windows.targets == sum(made) or not lookahead
