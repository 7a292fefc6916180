"""Which weights are updated by what, and that a training by Muon goes on where it was."""

import pytest
import torch
from lora import LORA

from kalam.models.adapters import add_lora
from kalam.training.optimiser import optimisers
from kalam.training.recipe import Recipe

MUON = Recipe(seed=0, learning_rate=3e-3, steps=3, optimiser="muon", weight_decay=0.5, beta2=0.95)


def owners(model, recipe) -> dict[str, str]:
    """The optimiser of each weight that is trained."""
    names = {p: name for name, p in model.named_parameters() if p.requires_grad}
    found = optimisers(model, {name: p for p, name in names.items()}, recipe)
    return {names[p]: type(each).__name__ for each in found for group in each.param_groups for p in group["params"]}


@pytest.mark.parametrize("changes", [{"tie_word_embeddings": True}, {"tie_word_embeddings": False}])
def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest(tiny, changes):
    model = tiny("llama", **changes)
    found = owners(model, MUON)
    assert found.keys() == {name for name, _ in model.named_parameters()}
    by_muon = {name for name, kind in found.items() if kind == "Muon"}
    assert by_muon == {n for n, p in model.named_parameters() if ".layers." in n and p.ndim == 2}
    assert set(owners(model, Recipe(seed=0, learning_rate=1e-3)).values()) == {"AdamW"}


def test_positions_that_are_learnt_are_rows_too(masked_model):
    found = owners(masked_model("bert"), MUON)
    assert found["bert.embeddings.position_embeddings.weight"] == "AdamW"
    assert found["bert.encoder.layer.0.attention.self.query.weight"] == "Muon"


def test_of_an_adapter_muon_takes_both_matrices_and_adamw_the_rows(tiny):
    found = owners(add_lora(tiny(), LORA, 0, False, "CAUSAL_LM", [5, 9, 40]), MUON)
    assert {kind for name, kind in found.items() if "lora_" in name} == {"Muon"}
    assert {kind for name, kind in found.items() if "trainable_tokens" in name} == {"AdamW"}
    assert {name.split(".")[-1] for name in found} >= {"weight", "default"}


def test_a_matrix_moves_by_an_orthogonal_one_and_decays(tiny):
    """One step of a fresh Muon: the weight less rate * decay of itself, less rate * an almost orthogonal matrix, times
    the root of rows over columns where there are more rows."""
    model = tiny()
    weight = dict(model.named_parameters())["model.layers.0.mlp.up_proj.weight"]  # 64 x 32
    before = weight.detach().clone()
    (muon, _) = optimisers(model, dict(model.named_parameters()), MUON)
    torch.manual_seed(0)
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    muon.step()
    theirs = torch.nn.Parameter(before.clone())
    theirs.grad = weight.grad
    torch.optim.Muon([theirs], lr=3e-3, weight_decay=0.5).step()
    assert torch.allclose(weight, theirs, atol=3e-3 * 0.05)  # which iterates in bf16
    moved = (before * (1 - 3e-3 * 0.5) - weight.detach()) / 3e-3
    singular = torch.linalg.svdvals(moved) / (64 / 32) ** 0.5
    assert singular.min() > 0.6 and singular.max() < 1.3  # Newton-Schulz in five steps and bf16 comes so near to 1
