"""New rows of a vocabulary, trained beside the frozen ones without a copy of these."""

import torch
from peft.tuners.trainable_tokens import TrainableTokensLayer
from torch.nn import functional


class TrainedRows(TrainableTokensLayer):
    """peft's layer, where the rows' ids are consecutive.

    peft writes the rows into a copy of the whole matrix at each call, and gets a gradient as large; with
    262,144 pieces, and a loss in chunks that calls the output layer for each of them, these decide
    time and memory. Here the frozen layer does its work, and what the rows make takes its place.
    """

    def forward_adapters(self, x: torch.Tensor, active_adapters: list[str], *args, **kwargs) -> torch.Tensor:
        if self.disable_adapters or self.merged or len(active_adapters) != 1:
            return super().forward_adapters(x, active_adapters, *args, **kwargs)
        ids, rows = self.token_indices[active_adapters[0]], self.trainable_tokens_delta[active_adapters[0]]
        rows, result = rows.to(self.base_layer.weight.dtype), self.base_layer(x)
        if isinstance(self.base_layer, torch.nn.Linear):
            result[..., ids[0] : ids[-1] + 1] = functional.linear(x, rows)
            return result
        place = x - ids[0]
        new = (place >= 0) & (place < len(rows))
        values = functional.embedding(place.clamp(0, len(rows) - 1), rows)
        if (scale := self._get_embed_scale()) is not None:  # Gemma's
            values = values * scale.to(values.dtype)
        return torch.where(new[..., None], values, result)


def beside_the_frozen(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its adapter, whose trained rows, if any, work as TrainedRows where they can."""
    for module in model.modules():
        if type(module) is TrainableTokensLayer and _is_served(module):
            module.__class__ = TrainedRows  # it has no state of its own
    return model


def _is_served(layer: TrainableTokensLayer) -> bool:
    """Whether the matrix is frozen and the ids of the rows are consecutive, as those of an extended model."""
    consecutive = (ids == list(range(ids[0], ids[-1] + 1)) for ids in layer.token_indices.values())
    return not layer.base_layer.weight.requires_grad and all(consecutive)
