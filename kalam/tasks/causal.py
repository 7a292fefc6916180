"""Causal language modelling: predict each token of a document from the ones before it."""

from typing import TYPE_CHECKING, Any

from kalam.models.attention import attention_masks
from kalam.training import task
from kalam.training.task import Batch

if TYPE_CHECKING:
    import torch


class Task(task.Task):
    lora_type = "CAUSAL_LM"
    lookahead = 1

    def inputs(self, model: "torch.nn.Module", batch: Batch) -> dict[str, Any]:
        return {
            "input_ids": batch["input_ids"],
            "position_ids": batch["position_ids"],
            "attention_mask": attention_masks(model, batch["document"], causal=True),
            "use_cache": False,
        }
