"""Models made here: an architecture of transformers at the size the configuration names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

FROM_TOKENIZER = {"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"}


def initialise(
    architecture: dict[str, Any],
    tokenizer: "PreTrainedTokenizerFast",
    seed: int,
    model_class: str = "AutoModelForCausalLM",
) -> "PreTrainedModel":
    """A model with random weights, in fp32; its vocabulary and special tokens are the tokenizer's.

    `model_class` is the Auto class of transformers for what it is to do. Raises InputError for an
    architecture, a key or a value that transformers does not know.
    """
    import torch
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    settings = dict(architecture)
    model_type = settings.pop("model_type")
    try:
        defaults = AutoConfig.for_model(model_type)
    except ValueError:
        raise InputError(f"architecture.model_type: transformers knows no `{model_type}`") from None
    if taken := sorted(settings.keys() & FROM_TOKENIZER):
        raise InputError(f"architecture: {', '.join(taken)} comes from the tokenizer and cannot be set")
    if unknown := sorted(key for key in settings if not hasattr(defaults, key)):
        raise InputError(f"architecture: `{model_type}` has no setting named {', '.join(unknown)}")
    try:
        config = AutoConfig.for_model(
            model_type,
            **settings,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    except StrictDataclassError as error:
        raise InputError(f"architecture: {str(error).splitlines()[-1].strip()}") from None
    torch.manual_seed(seed)
    try:
        return getattr(transformers, model_class).from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise InputError(f"architecture.model_type: {str(error).splitlines()[0]}") from None


def save(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    folder: str | Path,
    weights: "dict[str, torch.Tensor] | None" = None,
) -> None:
    """Write model and tokenizer in the hub's layout (safetensors); `weights` stand for the model's own."""
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
