"""The loss behind a model's output embeddings, without its logits where they would decide the memory."""

from typing import Any

import torch
from torch.nn import LinearCrossEntropyOptions, functional

from kalam.training.packing import IGNORED

# Numbers in a matrix of logits from which it is worth the trouble (64 MB in fp32); below, plain is faster.
LARGE = 1 << 24


class Head:
    """The last linear layer of a model, which makes logits of hidden states.

    At context 2048 and a vocabulary of 262,144 the logits and their gradient take 6.4 GB a window.
    `torch.nn.functional.linear_cross_entropy` makes them in chunks of rows and keeps none.
    """

    def __init__(self, model: torch.nn.Module):
        self.model = model
        self.layer = model.get_output_embeddings()

    @property
    def linear(self) -> bool:
        """Whether it is a plain matrix: not quantised, without an adapter of its own."""
        return type(self.layer) is torch.nn.Linear

    def loss(self, inputs: dict[str, Any], labels: torch.Tensor, chunked: bool = True) -> torch.Tensor:
        """Cross-entropy in nats, summed over the labels [windows, context] that are not IGNORED."""
        if not (chunked and self.linear) or labels.numel() * self.layer.out_features <= LARGE:
            return plain(self.model(**inputs).logits, labels)
        return self.chunked(inputs, labels)

    def chunked(self, inputs: dict[str, Any], labels: torch.Tensor) -> torch.Tensor:
        """The same from the hidden states; the model itself makes the logits of one position only."""
        hidden = self.hidden(inputs)
        kept = labels != IGNORED
        dtype = self.layer.weight.dtype
        if torch.is_autocast_enabled(hidden.device.type):
            dtype = torch.get_autocast_dtype(hidden.device.type)
        bias = self.layer.bias
        return functional.linear_cross_entropy(
            hidden[kept].to(dtype),
            self.layer.weight.to(dtype),
            labels[kept],
            linear_bias=None if bias is None else bias.to(dtype),
            reduction="sum",
            options=LinearCrossEntropyOptions(),
        )

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


def plain(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats from logits [windows, context, vocabulary], summed."""
    return functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
