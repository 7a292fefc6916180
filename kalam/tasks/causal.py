"""Causal language modelling: predict each token of a document from the ones before it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kalam.files.errors import InputError
from kalam.models.attention import attention_masks
from kalam.text.bpe_dropout import Rewriter
from kalam.training import task
from kalam.training.examples import Examples
from kalam.training.packing import PackedWindows, TokenStream
from kalam.training.task import Batch
from kalam.training.varied import VariedWindows

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


class Task(task.Task):
    lora_type = "CAUSAL_LM"
    lookahead = 1

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", bpe_dropout: float = 0.0, moving_windows: bool = False):
        super().__init__(tokenizer)
        self.dropout, self.moving = bpe_dropout, moving_windows or bpe_dropout > 0
        self.rewrite = Rewriter(tokenizer) if bpe_dropout else None

    def pieces(self, stream: TokenStream) -> np.ndarray:
        seen = super().pieces(stream)
        return np.union1d(seen, list(self.rewrite.pieces)) if self.rewrite else seen

    def varied(self, examples: Examples, total: int) -> Examples:
        if not self.moving:
            return examples
        if not isinstance(examples, PackedWindows):
            raise InputError("causal: bpe_dropout and moving_windows want packed windows, which this model cannot read")
        return VariedWindows(examples, total, self.dropout, self.rewrite)

    def inputs(self, model: "torch.nn.Module", batch: Batch) -> dict[str, Any]:
        if not self.packed:
            return self.inputs_apart(batch)
        return {
            "input_ids": batch["input_ids"],
            "position_ids": batch["position_ids"],
            "attention_mask": attention_masks(model, batch["document"], causal=True),
            "use_cache": False,
        }
