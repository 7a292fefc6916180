"""LoRA adapters on a base model, and what else is trainable in one."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"
ORTHOGONAL = "orthogonal"
# The `initialisation` setting in peft's words; its own orthogonal one knows whole bases only.
INITIALISATIONS = {"kaiming": True, "gaussian": "gaussian", ORTHOGONAL: True}


def add_lora(
    model: "PreTrainedModel",
    lora: dict[str, Any],
    seed: int,
    gradient_checkpointing: bool,
    task: str | None = None,
    rows: Sequence[int] = (),
):
    """A fresh LoRA adapter (Hu et al. 2021) on a base; only its weights are trainable, in fp32.

    `lora` is that section of the configuration; `task` is peft's name of the task, if it has one. The
    embeddings of the pieces `rows`, ascending ids, are trained with it. Raises InputError for
    targets the model lacks, and for settings that do not go with the model.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from kalam.models.token_rows import beside_the_frozen

    targets = lora["targets"]
    if targets != ALL_LINEAR:
        targets = [targets] if isinstance(targets, str) else targets
        if missing := [name for name in targets if not _has_module(model, name)]:
            raise InputError(f"lora.targets: the model has no module named {', '.join(missing)}")
    if rows and getattr(model.get_output_embeddings(), "bias", None) is not None:
        raise InputError(  # peft 0.21 forgets it
            "lora: the output layer has a bias, so no adapter can train rows of it; allowed is tuning: full"
        )
    model = _prepared(model, gradient_checkpointing)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=targets,
        use_rslora=lora["rslora"],
        use_dora=lora["dora"],
        init_lora_weights=INITIALISATIONS[lora["initialisation"]],
        task_type=task,
        trainable_token_indices={name: list(rows) for name in _embeddings(model)} if rows else None,
    )
    try:
        model = get_peft_model(model, config)
    except ValueError as error:
        raise InputError(f"lora: {str(error).splitlines()[0]}") from None
    if lora["initialisation"] == ORTHOGONAL:
        _begin_orthogonal(model)
    return beside_the_frozen(_in_order(model))


def continue_lora(model: "PreTrainedModel", adapter: str | Path, dropout: float, gradient_checkpointing: bool):
    """A finished adapter on its base, to be trained further; all but its dropout is as it was."""
    from kalam.models.token_rows import beside_the_frozen

    model = _prepared(model, gradient_checkpointing)
    further = {"lora_dropout": dropout, "inference_mode": False}
    return beside_the_frozen(_in_order(put_on(model, adapter, further, is_trainable=True)))


def put_on(
    model: "PreTrainedModel", adapter: str | Path, settings: dict[str, Any] | None = None, is_trainable: bool = False
) -> "PeftModel":
    """A base with an adapter on it, some of whose `settings` are others than it was trained with.

    Raises InputError for an adapter that is damaged or of another base, of which peft would leave out, or draw at
    random, what does not fit.
    """
    from peft import PeftConfig, PeftModel
    from safetensors import SafetensorError

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Found missing adapter keys")
            config = PeftConfig.from_pretrained(adapter)
            for name, value in (settings or {}).items():
                setattr(config, name, value)
            return PeftModel.from_pretrained(model, adapter, config=config, is_trainable=is_trainable)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, UserWarning, SafetensorError) as error:
        if "out of memory" in str(error):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{adapter}: no adapter that fits {model.config.model_type} here: {reason[:300]}") from None


def unfreeze(model: "PreTrainedModel", gradient_checkpointing: bool) -> "PreTrainedModel":
    """The model with every weight trainable."""
    if gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model.requires_grad_(True)


def _prepared(model: "PreTrainedModel", gradient_checkpointing: bool) -> "PreTrainedModel":
    from peft import prepare_model_for_kbit_training

    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if gradient_checkpointing:  # here, since peft's preparation passes it over for a base that is not quantised
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model


def _begin_orthogonal(model) -> None:
    """Give each adapter's matrices rows and columns in two halves of one orthogonal basis of its rank, so that
    their product is zero and neither is (https://datta0.github.io/posts/rethink-lora-init)."""
    import torch

    for layer in model.modules():
        for name, down in getattr(layer, "lora_A", {}).items():
            up, rank = layer.lora_B[name], down.out_features
            basis, _ = torch.linalg.qr(torch.randn(rank, rank))
            down.weight.data.copy_(basis[0::2].T @ torch.randn(rank // 2, down.in_features) / 10)
            up.weight.data.copy_(torch.randn(up.out_features, rank // 2) @ basis[1::2] / 10)


def _in_order(model):
    """peft keeps a set of targets, whose order in adapter_config.json would differ between equal runs."""
    chosen = model.peft_config[model.active_adapter]
    chosen.target_modules = sorted(chosen.target_modules)
    return model


def _embeddings(model: "PreTrainedModel") -> list[str]:
    """The names of the layers with a row for each piece; a tied output layer is its input layer again."""
    layers = [model.get_input_embeddings()]
    if model.get_output_embeddings().weight is not layers[0].weight:
        layers.append(model.get_output_embeddings())
    return [name for name, module in model.named_modules() if any(module is layer for layer in layers)]


def _has_module(model: "PreTrainedModel", name: str) -> bool:
    return any(whole == name or whole.endswith(f".{name}") for whole, _ in model.named_modules())


def merge(model: "PreTrainedModel", adapter: str | Path) -> "PreTrainedModel":
    """A base whose weights are whole, with an adapter added to them."""
    return put_on(model, adapter).merge_and_unload()
