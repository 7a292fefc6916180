"""In what arithmetic a model is trained and read on this device."""

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

AUTO = "auto"
DEVICE_FILES = ("nvidia*", "nvhost*", "nvgpu*", "kfd", "dxg")
DEVICES = Path("/dev")


def settled(precision: str) -> str:
    """A `precision` setting as `fp32`, `bf16` or `fp16`: `auto` is the best of this device. The rest takes these."""
    if precision != AUTO:
        return precision
    if not gpu_possible():
        return "fp32"
    import torch

    if not torch.cuda.is_available():
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def gpu_possible() -> bool:
    """Whether anything speaks for a GPU; where nothing does, a finished training is handed out without torch."""
    files = (file for pattern in DEVICE_FILES for file in DEVICES.glob(pattern))
    return bool(os.environ.get("CUDA_VISIBLE_DEVICES") or shutil.which("nvidia-smi") or next(files, None))


def compute_dtype(precision: str) -> "torch.dtype":
    """The dtype of a settled precision."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def autocast(precision: str, device: "torch.device", cache: bool = True) -> AbstractContextManager:
    """The arithmetic of a training in a settled precision, for a pass outside of it."""
    import torch

    dtype = compute_dtype(precision)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32, cache_enabled=cache)
