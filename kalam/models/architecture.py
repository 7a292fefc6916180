"""The configuration of an architecture of transformers, checked before a model is made of it."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# What an architecture is called that leaves some of its weights out of a step: experts that no token is sent to, and
# towers for what is no text.
ROUTING = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "vision_config", "audio_config")
FROM_TOKENIZER = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")


def checked_config(architecture: dict[str, Any], **from_tokenizer: Any) -> "PreTrainedConfig":
    """The configuration that `architecture` (its `model_type`, and settings by transformers' names) stands for,
    with what the tokenizer decides. Raises InputError for the first fault there is in it."""
    for fault in unknown_settings(architecture):
        raise InputError(f"architecture{fault}")
    config, faults = configuration({**architecture, **from_tokenizer})
    for fault in faults:
        raise InputError(f"architecture{fault}")
    return config


def routes(config: "PreTrainedConfig") -> bool:
    """Whether a step may have no use for some of the weights."""
    return any(getattr(part, name, None) for part in (config, config.get_text_config()) for name in ROUTING)


def unknown_settings(architecture: dict[str, Any]) -> Iterator[str]:
    """Settings that are not there to be set, as `.key: what was found; what is allowed`."""
    from transformers import CONFIG_MAPPING, AutoConfig

    kind = architecture["model_type"]
    if kind not in CONFIG_MAPPING:
        return
    defaults = AutoConfig.for_model(kind)
    for key, value in architecture.items():
        if key in FROM_TOKENIZER:
            yield f".{key}: found {value}; allowed is none, as it comes from the tokenizer"
        elif callable(getattr(defaults, key, repr)):  # not there, or a method
            near = _near(key, {*vars(defaults), *defaults.attribute_map} - {*FROM_TOKENIZER})
            yield f".{key}: found a setting that {kind} does not have; allowed are those it has in transformers{near}"


def configuration(settings: dict[str, Any]) -> "tuple[PreTrainedConfig | None, list[str]]":
    """The configuration of these settings, None where there can be none; and its faults, as above."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING, AutoConfig

    if settings.get("model_type") not in CONFIG_MAPPING:
        found = settings.get("model_type")
        return None, [f".model_type: found {found}; allowed are those of transformers{_near(found, CONFIG_MAPPING)}"]
    try:
        config = AutoConfig.for_model(**settings)
    except (StrictDataclassError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        reason = str(error).splitlines()[-1].strip().removeprefix("ValueError: ")
        return None, [f": {settings['model_type']} in transformers refuses it: {reason}"]
    return config, list(_heads(config, "head_dim" in settings or _has_default(type(config), "head_dim")))


def _near(name: Any, names: Iterable[str]) -> str:
    found = get_close_matches(str(name), names, 3)
    return f", such as {', '.join(found)}" if found else ""


def _divides(number: int, whole: int) -> bool:
    return number > 0 and whole % number == 0


def _has_default(kind: "type[PreTrainedConfig]", name: str) -> bool:
    """Whether a setting has a value of its own where none is given, not one that follows from others."""
    return any(field.name == name and field.default is not None for field in fields(kind))


def _heads(config: "PreTrainedConfig", own_size: bool) -> Iterator[str]:
    """Heads that cannot share what they are to share; `own_size`: whether the size of a head is a setting."""
    text = config.get_text_config()
    hidden, heads, groups = (
        getattr(text, name, None) for name in ("hidden_size", "num_attention_heads", "num_key_value_heads")
    )
    if not isinstance(heads, int):  # some have as many in each layer as they like
        return
    key, size = (text.attribute_map.get(name, name) for name in ("num_attention_heads", "hidden_size"))
    if isinstance(hidden, int) and not own_size and not _divides(heads, hidden):
        yield f".{key}: found {heads}; allowed are numbers that divide {size}, {hidden}"
    if isinstance(groups, int) and not _divides(groups, heads):
        yield f".num_key_value_heads: found {groups}; allowed are numbers that divide {key}, {heads}"
