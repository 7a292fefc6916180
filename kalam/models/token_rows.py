"""Rows of a vocabulary, trained beside the frozen ones without a copy of these."""

from itertools import pairwise

import torch
from peft.tuners.trainable_tokens import TrainableTokensLayer
from torch.nn import functional


class TrainedRows(TrainableTokensLayer):
    """peft's layer, where the rows' ids ascend.

    peft writes the rows into a copy of the whole matrix at each call, and gets a gradient as large; with
    262,144 pieces, and a loss in chunks that calls the output layer for each of them, these decide
    time and memory. Here the frozen layer does its work, and what the rows make takes its place.
    """

    def forward_adapters(self, x: torch.Tensor, active_adapters: list[str], *args, **kwargs) -> torch.Tensor:
        if self.disable_adapters or self.merged or len(active_adapters) != 1:
            return super().forward_adapters(x, active_adapters, *args, **kwargs)
        rows = self.trainable_tokens_delta[active_adapters[0]]
        ids = self.ids(active_adapters[0], x.device)
        rows, result = rows.to(self.base_layer.weight.dtype), self.base_layer(x)
        if isinstance(self.base_layer, torch.nn.Linear):
            result[..., ids] = functional.linear(x, rows)
            return result
        place = torch.searchsorted(ids, x).clamp(max=len(ids) - 1)
        new = ids[place] == x
        values = functional.embedding(place, rows)
        if (scale := self._get_embed_scale()) is not None:  # Gemma's
            values = values * scale.to(values.dtype)
        return torch.where(new[..., None], values, result)

    def ids(self, adapter: str, device: torch.device) -> torch.Tensor:
        """The rows' ids, int64 [rows]; made once, as there may be many."""
        found = self.__dict__.get("_ids")
        if found is None or found.device != device or len(found) != len(self.token_indices[adapter]):
            self.__dict__["_ids"] = found = torch.tensor(self.token_indices[adapter], device=device)
        return found


def beside_the_frozen(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its adapter, whose trained rows, if any, work as TrainedRows where they can."""
    for module in model.modules():
        if type(module) is TrainableTokensLayer and _is_served(module):
            module.__class__ = TrainedRows  # it has no state of its own but what it derives
    return model


def _is_served(layer: TrainableTokensLayer) -> bool:
    """Whether the matrix is frozen and the ids of the rows ascend."""
    ascending = (all(a < b for a, b in pairwise(ids)) for ids in layer.token_indices.values())
    return not layer.base_layer.weight.requires_grad and all(ascending)
