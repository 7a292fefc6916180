"""How many tokens a model can tell the places of, and where it begins to count them."""

from typing import TYPE_CHECKING

from kalam.files.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

# RoBERTa and its kin begin to count after the padding token's id, and lose the places before.
AFTER_PADDING = {
    "camembert",
    "data2vec-text",
    "esm",
    "longformer",
    "luke",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}


def positions_of(config: "PreTrainedConfig") -> int | None:
    """The longest window of a model with this configuration; None where nothing limits it, or nobody knows."""
    config = config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or positions < 0:  # XLNet says -1 where others say nothing
        return None
    if config.model_type not in AFTER_PADDING:
        return positions
    return positions - (0 if config.pad_token_id is None else config.pad_token_id + 1)


def first_position(model: "torch.nn.Module") -> int:
    """Where a model begins to count positions: RoBERTa and its kin begin after the padding token's."""
    import torch

    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def require_positions(model: "torch.nn.Module", context: int) -> None:
    """Raise InputError for windows longer than the model has positions."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions and positions > 0 and context > (allowed := positions - first_position(model)):
        raise InputError(f"training.context: {context} tokens; allowed are the model's {allowed} positions")
