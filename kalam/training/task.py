"""What the training engine asks of a task, and what every task over tokens shares."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from kalam.text.tokens import IGNORED
from kalam.training.apart import DocumentWindows
from kalam.training.examples import Draw, Example, Examples
from kalam.training.packing import PADDING, Columns, PackedWindows, TokenStream

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Batch = dict[str, "torch.Tensor"]


class Task(ABC):
    """A way to train a model on text; a module of kalam.tasks has a subclass of this name.

    It is made from the tokenizer and the task's own section of the configuration. A label of IGNORED
    has no weight in the loss, any other has weight 1.
    """

    lora_type: str | None = None  # peft's name for it
    lookahead = 0  # how far after a token its label stands
    chunked = True  # whether the loss may do without the logits; a probe of the model decides
    packed = True  # whether documents stand side by side in a window, by a mask; a probe of the model decides

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        self.pad = tokenizer.pad_token_id or 0
        self.files: dict[str, str] = {}  # what a run leaves beside its weights, by name

    @staticmethod
    def encode(tokenizer: "PreTrainedTokenizerFast", rows: Iterable[dict[str, Any]]) -> Iterator[Columns]:
        """The rows as the tokens this task trains on, and what it wants to know of these, as the rows come."""
        from kalam.text.tokens import encode_documents

        return ({"tokens": ids} for ids in encode_documents(tokenizer, (row["text"] for row in rows)))

    def examples(self, stream: TokenStream, context: int) -> Examples:
        """What is learnt from, none longer than `context` tokens: packed windows, where the task says nothing else
        and the model takes them."""
        if not self.packed:
            return DocumentWindows(stream, context, self.lookahead)
        return PackedWindows(stream, context, self.pad, self.lookahead)

    def pieces(self, stream: TokenStream) -> np.ndarray:
        """The ids, ascending, of the pieces that a training on a stream may see."""
        return np.unique(stream.tokens)

    def varied(self, examples: Examples, total: int) -> Examples:
        """What is learnt from in place of some examples, where these change in the course of `total` draws."""
        return examples

    def labels(self, examples: Examples, index: int, draw: Draw) -> int:
        """How many labels an example has under a draw."""
        return examples.labels(index, draw)

    def collate(self, examples: Sequence[Example], draws: Sequence[Draw]) -> Batch:
        """int64 tensors [examples, tokens]: input_ids, labels, position_ids, document."""
        return stack(examples, self.pad)

    @abstractmethod
    def inputs(self, model: "torch.nn.Module", batch: Batch) -> dict[str, Any]:
        """What the model's forward is called with, so that no position sees another document."""

    @staticmethod
    def inputs_apart(batch: Batch) -> dict[str, Any]:
        """What a model is called with where each row is of one document, and what is none is padding behind it."""
        return {"input_ids": batch["input_ids"], "attention_mask": (batch["document"] != PADDING).long()}

    def logits(self, model: "torch.nn.Module", batch: Batch) -> "torch.Tensor":
        """[examples, tokens, vocabulary]."""
        return model(**self.inputs(model, batch)).logits

    def loss(self, model: "torch.nn.Module", batch: Batch) -> "tuple[torch.Tensor, torch.Tensor]":
        """Negative log-likelihood in nats, summed over the labels, and how many they are."""
        from kalam.models.head import Head

        labels = batch["labels"]
        return Head(model).loss(self.inputs(model, batch), labels, self.chunked), (labels != IGNORED).sum()


def task_class(name: str) -> type[Task]:
    """The task of a module of kalam.tasks; the rule files digest that module, which no import names."""
    return import_module(f"kalam.tasks.{name}").Task


def make_task(task: dict[str, Any], tokenizer: "PreTrainedTokenizerFast") -> Task:
    """The task of a section of the configuration: its `name`, the `head` of its models, its settings beside them."""
    settings = {key: value for key, value in task.items() if key not in ("name", "head")}
    return task_class(task["name"])(tokenizer, **settings)


def stack(examples: Sequence[Example], pad: int) -> Batch:
    """Examples of equal keys as tensors [examples, tokens]; behind those that are shorter than the longest stands
    padding, which is of no document, so nothing of one sees it."""
    import torch

    padding = {"input_ids": pad, "labels": IGNORED, "position_ids": 0, "document": PADDING}
    longest = max(len(example["input_ids"]) for example in examples)

    def row(key: str, array: np.ndarray) -> np.ndarray:
        return np.pad(array, (0, longest - len(array)), constant_values=padding[key])

    return {key: torch.from_numpy(np.stack([row(key, each[key]) for each in examples])) for key in padding}


def batch_to(batch: Batch, device: Any) -> Batch:
    """The batch on a device."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}
