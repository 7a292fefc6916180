"""Loading a base model, quantised or whole, and the LoRA adapter on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"


def device() -> "torch.device":
    """The GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype(precision: str) -> "torch.dtype":
    """The dtype behind a `precision` setting; `auto` is the best of the device."""
    import torch

    if precision != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def load_base(
    folder: str | Path, quantisation: str = "none", precision: str = "auto", remote_code: bool = False
) -> "PreTrainedModel":
    """The causal model of a folder in the hub's layout, on the device, in evaluation mode.

    `nf4` quantises its linear layers to 4-bit NormalFloat with double quantisation (Dettmers et
    al. 2023, QLoRA). Safetensors only. Raises InputError for a folder that holds no such model.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = compute_dtype(precision)
    options: dict[str, Any] = {}
    if quantisation == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device_map={"": device()},
            use_safetensors=True,
            trust_remote_code=remote_code,
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: no causal model that can be loaded: {str(error).splitlines()[0]}") from None
    keep_gradients_exact(model)
    return model.eval().requires_grad_(False)


def keep_gradients_exact(model: "PreTrainedModel") -> None:
    """Forbid the repacking of NF4 weights on CPUs with AVX512-BF16.

    The first evaluation forward there repacks them for inference, and every gradient after it is
    wrong by 90 % (bitsandbytes 0.50). It must be forbidden before any forward.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def add_lora(model: "PreTrainedModel", lora: dict[str, Any], seed: int, gradient_checkpointing: bool):
    """A fresh LoRA adapter (Hu et al. 2021) on a base; only its weights are trainable, in fp32.

    `lora` has rank, alpha, dropout and targets, `all-linear` or names of modules. Raises InputError
    for targets the model lacks.
    """
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if gradient_checkpointing:  # here, since peft's preparation passes it over for a base that is not quantised
        model.activation_checkpointing_enable({"use_reentrant": False})
    targets = lora["targets"]
    if targets != ALL_LINEAR:
        targets = [targets] if isinstance(targets, str) else targets
        if missing := [name for name in targets if not _has_module(model, name)]:
            raise InputError(f"lora.targets: the model has no module named {', '.join(missing)}")
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    try:
        model = get_peft_model(model, config)
    except ValueError as error:
        raise InputError(f"lora.targets: {str(error).splitlines()[0]}") from None
    # peft keeps a set here, whose order in adapter_config.json would differ between equal runs.
    chosen = model.peft_config[model.active_adapter]
    chosen.target_modules = sorted(chosen.target_modules)
    return model


def _has_module(model: "PreTrainedModel", name: str) -> bool:
    return any(whole == name or whole.endswith(f".{name}") for whole, _ in model.named_modules())


def load_adapted(base: dict[str, Any], adapter: str | Path, quantisation: str, precision: str = "auto"):
    """The base as it was trained on (`base.json`: folder, remote_code), with its adapter, in evaluation mode."""
    from peft import PeftModel

    model = load_base(base["folder"], quantisation, precision, base["remote_code"])
    return PeftModel.from_pretrained(model, adapter).eval()
