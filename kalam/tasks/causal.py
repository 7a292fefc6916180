"""Causal language modelling: predict each token of a document from the ones before it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kalam.training.packing import IGNORED, block_causal_mask


def collate(windows: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack packed windows into int64 tensors [windows, context]."""
    return {key: torch.from_numpy(np.stack([window[key] for window in windows])) for key in windows[0]}


def logits(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """[windows, context, vocabulary]; no position sees another document."""
    output = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=attention_masks(model, batch["document"]),
        use_cache=False,
    )
    return output.logits


def attention_masks(model: torch.nn.Module, document: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
    """The mask of packed documents as the model wants it: in its dtype, one per kind of layer where kinds differ.

    transformers takes a ready mask as it is, so a sliding window (Gemma 3, Mistral) is drawn here too.
    """
    config = model.config.get_text_config()
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    full = block_causal_mask(document, dtype=dtype)
    if not getattr(config, "sliding_window", None):
        return full
    near = block_causal_mask(document, config.sliding_window, dtype)
    kinds = getattr(config, "layer_types", None)
    return near if kinds is None else {"full_attention": full, "sliding_attention": near}


def loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood in nats, summed over the predicted tokens, and how many they are."""
    scores = logits(model, batch)
    labels = batch["labels"]
    total = functional.cross_entropy(
        scores.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total, (labels != IGNORED).sum()


def leakage(model: torch.nn.Module, vocabulary: int, seed: int = 0) -> float:
    """How far a packed document's logits move when its neighbour's text changes; 0 where none leaks.

    Two random documents share a window; the first is then another one. A model for which this is
    not 0 reads its neighbour, and its losses mean nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    first, other, second = torch.randint(0, vocabulary, (3, 12), generator=generator)
    batch = {
        "input_ids": torch.stack([torch.cat([first, second]), torch.cat([other, second])]),
        "position_ids": torch.arange(12).repeat(2, 2),
        "document": torch.tensor([0, 1]).repeat_interleave(12).repeat(2, 1),
    }
    was_training = model.training
    model.eval()
    with torch.no_grad():
        scores = logits(model, batch_to(batch, device))[:, 12:].float()
    model.train(was_training)
    return float((scores[0] - scores[1]).abs().max())


def batch_to(batch: dict[str, torch.Tensor], device: Any) -> dict[str, torch.Tensor]:
    """The batch on a device."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def count(batch: dict[str, torch.Tensor]) -> int:
    """How many tokens a batch predicts."""
    return int((batch["labels"] != IGNORED).sum())
