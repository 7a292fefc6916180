"""What llama.cpp and its converter know of architectures and tokenizers; tried here from training to export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kalam.files.jsonl import read_json
from kalam.text.tokens import PATTERN

# By transformers' `model_type`. XGLM is no architecture of llama.cpp.
CONVERTIBLE = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gemma3", "qwen3_vl")
# AutoTokenizer puts this architecture's own pre-tokeniser in place of the one that a tokenizer was trained
# with here: whoever downloads the model would get other tokens.
TOKENIZER_REPLACED = ("qwen2",)
# The pattern a tokenizer was trained with, and llama.cpp's name of that pre-tokeniser.
PRE_TOKENISERS = {PATTERN: "qwen35"}

GEMMA3 = "gemma3_text"
GEMMA3_FULL_ATTENTION_EVERY = 6  # layers; all others have sliding attention
GEMMA3_DEFAULT_SIZE = 256  # transformers' default of both head_dim and query_pre_attn_scalar
GEMMA3_27B_LAYERS = 62  # the number by which llama.cpp tells the one model whose queries it scales as its settings say


def architecture_objection(settings: Mapping[str, Any] | None, tokenizer_trained_here: bool) -> str | None:
    """Why a model with these settings (of its `config.json`) cannot be exported; None where it can, or where the
    settings are not known yet."""
    if settings is None:
        return None
    kind = settings.get("model_type")
    if kind not in CONVERTIBLE:
        return f"llama.cpp has no {kind}; it has {', '.join(CONVERTIBLE)}"
    if tokenizer_trained_here and kind in TOKENIZER_REPLACED:
        return f"AutoTokenizer replaces a tokenizer trained here in a folder of {kind}"
    return _gemma3_layer_objection(settings) if kind == GEMMA3 else None


def _gemma3_layer_objection(settings: Mapping[str, Any]) -> str | None:
    """llama.cpp tells the kind of a layer's attention by the layer's number, whatever the settings say."""
    for number, kind in enumerate(settings.get("layer_types") or [], start=1):
        wanted = "sliding_attention" if number % GEMMA3_FULL_ATTENTION_EVERY else "full_attention"
        if kind != wanted:
            return f"{GEMMA3} has {kind} in layer {number}; llama.cpp takes {wanted}"
    return None


def adapter_objection(settings: Mapping[str, Any] | None) -> str | None:
    """Why an adapter cannot be exported to be loaded with its base; None where it can, or where the settings are
    not known yet.

    A base whose queries llama.cpp scales otherwise is another model there; merging moves the scale into the
    weights (kalam.export.merging), which an adapter alone cannot do.
    """
    if settings is None or not scales_queries_by_head_size(settings):
        return None
    scale, size = (settings.get(key, GEMMA3_DEFAULT_SIZE) for key in ("query_pre_attn_scalar", "head_dim"))
    return None if scale == size else f"{GEMMA3} has query_pre_attn_scalar {scale}; llama.cpp takes head_dim, {size}"


def scales_queries_by_head_size(settings: Mapping[str, Any]) -> bool:
    """Whether llama.cpp scales this model's queries by its head_dim though it has a setting, query_pre_attn_scalar."""
    return settings.get("model_type") == GEMMA3 and settings.get("num_hidden_layers") != GEMMA3_27B_LAYERS


def pre_tokeniser(model: str | Path) -> str | None:
    """llama.cpp's name of the pre-tokeniser of a model folder's tokenizer, if that was trained here; else None."""
    file = Path(model) / "tokenizer.json"
    if not file.exists():
        return None
    whole = read_json(file)["pre_tokenizer"] or {}
    patterns = [part.get("pattern", {}).get("Regex") for part in whole.get("pretokenizers", [whole])]
    return next((PRE_TOKENISERS[pattern] for pattern in patterns if pattern in PRE_TOKENISERS), None)
