"""What the training engine asks of a task, and what every task over packed tokens shares."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from kalam.text.tokens import IGNORED
from kalam.training.packing import PackedWindows, TokenStream

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Batch = dict[str, "torch.Tensor"]
# What an example may draw random numbers from: the same for the same draw, however batches are cut.
Draw = tuple[int, ...]


class Task(ABC):
    """A way to train a model on text; a module of kalam.tasks has a subclass of this name.

    It is made from the tokenizer and the task's own section of the configuration. A label of IGNORED
    has no weight in the loss, any other has weight 1.
    """

    lora_type: str | None = None  # peft's name for it
    lookahead = 0  # how far after a token its label stands
    chunked = True  # whether the loss may do without the logits; a probe of the model decides

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        self.pad = tokenizer.pad_token_id or 0

    @staticmethod
    def encode(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> TokenStream:
        """The texts as the tokens this task trains on."""
        from kalam.text.tokens import encode_documents

        return TokenStream.of(encode_documents(tokenizer, texts))

    def examples(self, stream: TokenStream, context: int) -> PackedWindows:
        """The stream in windows of `context` tokens; a batch is so many of them, so a budget of tokens."""
        return PackedWindows(stream, context, self.pad, self.lookahead)

    @abstractmethod
    def collate(self, windows: Sequence[dict[str, np.ndarray]], draws: Sequence[Draw]) -> Batch:
        """int64 tensors [windows, context]: input_ids, labels, position_ids, document."""

    @abstractmethod
    def inputs(self, model: "torch.nn.Module", batch: Batch) -> dict[str, Any]:
        """What the model's forward is called with, so that no position sees another document."""

    def logits(self, model: "torch.nn.Module", batch: Batch) -> "torch.Tensor":
        """[windows, context, vocabulary]."""
        return model(**self.inputs(model, batch)).logits

    def loss(self, model: "torch.nn.Module", batch: Batch) -> "tuple[torch.Tensor, torch.Tensor]":
        """Negative log-likelihood in nats, summed over the labels, and how many they are."""
        from kalam.models.head import Head

        labels = batch["labels"]
        return Head(model).loss(self.inputs(model, batch), labels, self.chunked), (labels != IGNORED).sum()

    def count(self, batch: Batch) -> int:
        """How many labels a batch has."""
        return int((batch["labels"] != IGNORED).sum())


def task_class(name: str) -> type[Task]:
    """The task of a module of kalam.tasks; the rule files digest that module, which no import names."""
    return import_module(f"kalam.tasks.{name}").Task


def make_task(task: dict[str, Any], tokenizer: "PreTrainedTokenizerFast") -> Task:
    """The task of a section of the configuration: its `name`, the `head` of its models, its settings beside them."""
    settings = {key: value for key, value in task.items() if key not in ("name", "head")}
    return task_class(task["name"])(tokenizer, **settings)


def stack(windows: Sequence[dict[str, np.ndarray]]) -> Batch:
    """Windows of equal keys and shapes as tensors [windows, ...]."""
    import torch

    return {key: torch.from_numpy(np.stack([window[key] for window in windows])) for key in windows[0]}


def batch_to(batch: Batch, device: Any) -> Batch:
    """The batch on a device."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}
