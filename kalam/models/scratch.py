"""Models made here: an architecture of transformers at the size the configuration names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError
from kalam.models.architecture import checked_config
from kalam.models.causality import require_causal
from kalam.text.tokens import save_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ONE_FILE = 1 << 62  # bytes; transformers cuts weights beyond 50 GB into files that no rule could name


def initialise(
    architecture: dict[str, Any],
    tokenizer: "PreTrainedTokenizerFast",
    seed: int,
    model_class: str = "AutoModelForCausalLM",
) -> "PreTrainedModel":
    """A model with random weights, in fp32; its vocabulary and special tokens are the tokenizer's.

    `model_class` is the Auto class of transformers for what it is to do. Raises InputError for an
    architecture, a key or a value that transformers does not know, and for a causal model that looks ahead.
    """
    import torch
    import transformers

    config = checked_config(
        architecture,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    try:
        model = getattr(transformers, model_class).from_config(config, dtype=torch.float32, trust_remote_code=False)
    except ValueError as error:
        raise InputError(f"architecture.model_type: {str(error).splitlines()[0]}") from None
    if model_class == "AutoModelForCausalLM":
        require_causal(model, f"architecture.model_type: {config.model_type}")
    return model


def save(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    folder: str | Path,
    weights: "dict[str, torch.Tensor] | None" = None,
) -> None:
    """Write model and tokenizer in the hub's layout (safetensors); `weights` stand for the model's own."""
    save_weights(model, folder, weights)
    save_tokenizer(tokenizer, folder)


def save_weights(
    model: "PreTrainedModel", folder: str | Path, weights: "dict[str, torch.Tensor] | None" = None
) -> None:
    """Write a model as config.json and one model.safetensors, however large; `weights` stand for its own."""
    model.save_pretrained(folder, state_dict=weights, max_shard_size=ONE_FILE)
