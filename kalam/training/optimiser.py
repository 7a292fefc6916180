"""What updates the weights: AdamW, or Muon for the matrices of the layers and AdamW for the rest."""

import torch

from kalam.training.muon import Muon
from kalam.training.recipe import Recipe

MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")  # of either, for each weight
TRAINED_ROWS = "trainable_tokens_delta"  # peft's name for the rows that an adapter trains


def optimisers(
    model: torch.nn.Module, parameters: dict[str, torch.nn.Parameter], recipe: Recipe
) -> list[torch.optim.Optimizer]:
    """The optimisers of the parameters that are trained, each of these in one of them.

    Muon makes the update of a matrix orthogonal, which means something where it maps one space to another; so rows that
    stand for pieces, and vectors, are AdamW's. One learning rate and one weight decay serve both. Vectors do not decay.
    """
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    found: list[torch.optim.Optimizer] = []
    if recipe.optimiser == "muon":
        rows = rows_of_pieces(model)
        maps = [p for p in matrices if p.ndim == 2 and id(p) not in rows]
        matrices = [p for p in matrices if p.ndim != 2 or id(p) in rows]
        if maps:
            found.append(Muon(maps, lr=recipe.learning_rate, weight_decay=recipe.weight_decay))
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    if matrices or vectors:
        betas = (0.9, recipe.beta2)
        found.append(torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=betas, fused=True))
    return found


def rows_of_pieces(model: torch.nn.Module) -> set[int]:
    """The ids of the parameters with a row for each of some pieces or positions: embeddings, the output layer, and
    rows that an adapter trains."""
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    layers = [module for module in model.modules() if module is output or isinstance(module, torch.nn.Embedding)]
    layers += [module for module in model.modules() if TRAINED_ROWS in dict(module.named_children())]
    return {id(p) for layer in layers for p in layer.parameters()}
