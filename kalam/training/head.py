"""The loss behind a model's output embeddings, without all its logits where they would decide the memory."""

from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kalam.training.packing import IGNORED

LARGE = 1 << 26  # numbers in a matrix of logits that are held at once, 256 MB in fp32


class Head:
    """The last layer of a model, which makes logits of hidden states.

    At context 2048 and a vocabulary of 262,144 the logits, their softmax and their gradient take 6.4 GB
    a window. Here they are made for some rows at a time, and once more for the backward pass.
    torch.nn.functional.linear_cross_entropy (2.13) does the like, but adds the losses up in half
    precision where that is the input's, and takes six times as long on a CPU.
    """

    def __init__(self, model: torch.nn.Module):
        self.model = model
        self.layer = model.get_output_embeddings()

    def loss(self, inputs: dict[str, Any], labels: torch.Tensor, chunked: bool = True) -> torch.Tensor:
        """Cross-entropy in nats, summed over the labels [windows, context] that are not IGNORED."""
        if not chunked or labels.numel() * self.model.config.get_text_config().vocab_size <= LARGE:
            return cross_entropy(self.model(**inputs).logits, labels)
        return self.chunked(inputs, labels)

    def chunked(self, inputs: dict[str, Any], labels: torch.Tensor, size: int = LARGE) -> torch.Tensor:
        """The same with at most `size` logits at a time; the model itself makes those of one position only."""
        kept = labels != IGNORED
        hidden, labels = self.hidden(inputs)[kept], labels[kept]
        rows = max(1, size // self.model.config.get_text_config().vocab_size)
        total = hidden.new_zeros((), dtype=torch.float32)
        for some, wanted in zip(hidden.split(rows), labels.split(rows), strict=True):
            total = total + checkpoint(self.part, some, wanted, use_reentrant=False, preserve_rng_state=False)
        return total

    def part(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self.layer(hidden), labels)

    def hidden(self, inputs: dict[str, Any]) -> torch.Tensor:
        """[windows, context, hidden]: what the layer is given."""
        found = []

        def take(_, arguments):
            found.append(arguments[0])
            return (arguments[0][:, :1],)

        hook = self.layer.register_forward_pre_hook(take)
        try:
            self.model(**inputs)
        finally:
            hook.remove()
        return found[0]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats from logits [..., vocabulary], summed over the labels that are not IGNORED."""
    return functional.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
