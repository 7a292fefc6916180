"""Masks by which packed documents never see one another, in the form every architecture honours."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def attention_masks(
    model: "torch.nn.Module", document: "torch.Tensor", causal: bool
) -> "torch.Tensor | dict[str, torch.Tensor]":
    """The mask of packed documents as the model wants it: in its dtype, one per kind of layer where kinds differ.

    transformers takes a ready mask as it is, so a sliding window (Gemma 3, Mistral) is drawn here too.
    """
    config = model.config.get_text_config()
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    full = block_mask(document, causal, dtype=dtype)
    if not getattr(config, "sliding_window", None):
        return full
    near = block_mask(document, causal, config.sliding_window, dtype)
    kinds = getattr(config, "layer_types", None)
    return near if kinds is None else {"full_attention": full, "sliding_attention": near}


def block_mask(
    document: "torch.Tensor", causal: bool = True, window: int | None = None, dtype: "torch.dtype | None" = None
) -> "torch.Tensor":
    """A float mask [batch, 1, context, context]: 0 where a position may look, the lowest float elsewhere.

    A position looks at positions of its own document, only at itself and earlier ones where
    `causal`. A `window` is as transformers counts it: the position itself and those before it where
    causal, else so many on either side. In this additive form every architecture honours it (XGLM
    reads neither a boolean mask nor block borders in position_ids).
    `document` is an int64 tensor [batch, context], `dtype` float32 by default.
    """
    import torch

    position = torch.arange(document.shape[1], device=document.device)
    back = position[:, None] - position[None, :]
    allowed = document[:, :, None] == document[:, None, :]
    if causal:
        allowed = allowed & (back >= 0)
    if window:
        allowed = allowed & (back.abs() < window + (not causal))
    dtype = dtype or torch.float32
    mask = torch.zeros(allowed.shape, dtype=dtype, device=document.device)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min)[:, None]
