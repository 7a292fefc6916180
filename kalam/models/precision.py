"""In what arithmetic a model is trained on this device."""

from contextlib import AbstractContextManager

import torch


def mixed_precision(precision: str) -> str:
    """Accelerate's name for the `precision` setting on this device."""
    if precision != "auto":
        return "no" if precision == "fp32" else precision
    if not torch.cuda.is_available():
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def autocast(precision: str, device: torch.device, cache: bool = True) -> AbstractContextManager:
    """The arithmetic of a training, for a pass outside of it."""
    dtype = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[mixed_precision(precision)]
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32, cache_enabled=cache)
