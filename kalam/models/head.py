"""Loss and scores of a model's last layer, without all its logits where they would decide the memory."""

from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kalam.text.tokens import IGNORED

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
        hidden, labels = self.hidden(inputs)[0][kept], labels[kept]
        rows = self.rows(size)
        total = hidden.new_zeros((), dtype=torch.float32)
        for some, wanted in zip(hidden.split(rows), labels.split(rows), strict=True):
            total = total + checkpoint(self.part, some, wanted, use_reentrant=False, preserve_rng_state=False)
        return total

    def part(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self.layer(hidden), labels)

    def score(
        self, inputs: dict[str, Any], labels: torch.Tensor, size: int = LARGE
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy in nats of each label that is not IGNORED, and whether it is the likeliest; [labels] each.

        For a model in evaluation mode, without gradients. At most `size` logits are held at a time, but of a model
        that does more to them than its last layer tells.
        """
        kept = labels != IGNORED
        hidden, own = self.hidden(inputs)
        if torch.equal(self.layer(hidden[:, :1]).float(), own.float()):
            states, logits_of = hidden[kept], self.layer
        else:
            states, logits_of = self.model(**inputs).logits[kept], torch.nn.Identity()
        losses, hits = [], []
        for some, wanted in zip(states.split(self.rows(size)), labels[kept].split(self.rows(size)), strict=True):
            logits = logits_of(some).float()
            losses.append(functional.cross_entropy(logits, wanted, reduction="none"))
            hits.append(logits.argmax(-1) == wanted)
        return torch.cat(losses), torch.cat(hits)

    def rows(self, size: int) -> int:
        """How many positions have so many logits, at least one."""
        return max(1, size // self.model.config.get_text_config().vocab_size)

    def hidden(self, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the layer is given, [windows, context, hidden], and the model's logits of the first position."""
        found = []

        def take(_, arguments):
            found.append(arguments[0])
            return (arguments[0][:, :1],)

        hook = self.layer.register_forward_pre_hook(take)
        try:
            logits = self.model(**inputs).logits
        finally:
            hook.remove()
        return found[0], logits


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats from logits [..., vocabulary], summed over the labels that are not IGNORED."""
    return functional.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
