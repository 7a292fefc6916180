"""What text costs under a model: cross-entropy without gradients, of some positions only."""

from typing import Any

import torch
from torch.nn import functional

from kalam.models.head import LARGE, Head
from kalam.text.tokens import IGNORED

ROWS, SLICE = 256, 8192  # positions and pieces of the vocabulary whose logits stay in a CPU's cache, 8 MB in fp32


class Scorer(Head):
    """The last layer of a model in evaluation mode, which scores one batch after another."""

    def __init__(self, model: torch.nn.Module):
        super().__init__(model)
        self.alone = True  # whether the layer's output is the logits, as far as is known

    def losses(
        self, inputs: dict[str, Any], labels: torch.Tensor, size: int = LARGE, most: int = SLICE
    ) -> torch.Tensor:
        """Cross-entropy in nats of each label that is not IGNORED, [labels].

        At most `size` logits are held at a time, but of a model that does more to them than its last layer tells. On a
        CPU they are made of `most` pieces of the vocabulary at a time, so they never leave the processor's cache; and
        sums over slices, put together in fp64, are nearer to the true ones than one long sum in fp32.
        """
        kept = labels != IGNORED
        states, layer = self.states(inputs, kept)
        wanted = labels[kept]
        if type(layer) is not torch.nn.Linear or layer.out_features <= most or states.device.type != "cpu":
            pairs = zip(states.split(self.rows(size)), wanted.split(self.rows(size)), strict=True)
            return torch.cat([functional.cross_entropy(layer(a).float(), b, reduction="none") for a, b in pairs])
        pairs = zip(states.split(ROWS), wanted.split(ROWS), strict=True)
        return torch.cat([in_slices(a, layer, b, most) for a, b in pairs])

    def states(self, inputs: dict[str, Any], kept: torch.Tensor) -> tuple[torch.Tensor, torch.nn.Module]:
        """What logits are made of at the places that are kept, [kept, hidden], and what makes them."""
        if self.alone:
            hidden, own = self.hidden(inputs)
            self.alone = torch.equal(self.layer(hidden[:, :1]).float(), own.float())
        if self.alone:
            return hidden[kept], self.layer
        return self.model(**inputs).logits[kept], torch.nn.Identity()


def in_slices(states: torch.Tensor, layer: torch.nn.Linear, labels: torch.Tensor, most: int) -> torch.Tensor:
    """Cross-entropy in nats, fp64, of labels [rows] from what a layer is given [rows, hidden], without gradients."""
    weights = layer.weight.split(most)
    biases = [None] * len(weights) if layer.bias is None else layer.bias.split(most)
    sums, wanted = [], states.new_zeros(len(labels), dtype=torch.float32)
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        logits = functional.linear(states, weight, bias).float()
        place = labels - number * most
        rows = torch.nonzero((place >= 0) & (place < len(weight)))[:, 0]
        wanted[rows] = logits[rows, place[rows]]
        top = logits.amax(-1)
        sums.append(top.double() + logits.sub_(top[:, None]).exp_().sum(-1).double().log())
    return torch.stack(sums).logsumexp(0) - wanted.double()
