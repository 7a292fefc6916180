"""Models from their folders: a base, quantised or whole, what a run began with, and what it made of that."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.machine.devices import torch_device
from kalam.models.precision import compute_dtype, settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_base(
    base: dict[str, Any],
    quantisation: str = "none",
    precision: str = "auto",
    model_class: str = "AutoModelForCausalLM",
    sharded: bool = False,
) -> "PreTrainedModel":
    """The model of a folder in the hub's layout (`folder`, `remote_code`), on the device, in evaluation mode.

    One that is to be `sharded` stays on the CPU until each process takes its part.

    `nf4` quantises its linear layers to 4-bit NormalFloat with double quantisation (Dettmers et
    al. 2023, QLoRA). `model_class` is an Auto class of transformers. Safetensors only. Raises
    InputError for a folder that holds no such model.
    """
    import transformers
    from safetensors import SafetensorError

    dtype = compute_dtype(settled(precision))
    options: dict[str, Any] = {}
    if quantisation == "nf4":
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_quant_storage=dtype if sharded else None,  # FSDP wants weights of one floating type
        )
    folder = base["folder"]
    try:
        model = getattr(transformers, model_class).from_pretrained(
            folder,
            dtype=dtype,
            device_map={"": "cpu" if sharded else torch_device()},
            use_safetensors=True,
            trust_remote_code=base.get("remote_code", False),
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        kind = model_class.removeprefix("AutoModelFor")
        raise InputError(f"{folder}: no {kind} model that can be loaded: {str(error).splitlines()[0]}") from None
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


def load_begun(
    base: dict[str, Any], quantisation: str, precision: str = "auto", model_class: str = "AutoModelForCausalLM"
):
    """What a run began with (`base.json`), in evaluation mode: its base, with the adapter of the run before."""
    return _with_adapter(load_base(base, quantisation, precision, model_class), base["adapter"])


def load_adapted(
    base: dict[str, Any],
    run: str | Path,
    quantisation: str,
    precision: str = "auto",
    model_class: str = "AutoModelForCausalLM",
):
    """What the run in a folder has made of its base (`base.json`), in evaluation mode: the base as it
    was trained on, with the run's adapter, or the run's own whole model."""
    kind = read_json(Path(run) / "meta.json")["identity"]["kind"]  # a folder may be left from another setting
    if kind == "full":
        return load_base({**base, "folder": Path(run) / "model"}, "none", precision, model_class)
    return _with_adapter(load_base(base, quantisation, precision, model_class), Path(run) / "adapter")


def _with_adapter(model: "PreTrainedModel", adapter: str | Path | None):
    from peft import PeftModel

    from kalam.models.token_rows import beside_the_frozen

    return beside_the_frozen(PeftModel.from_pretrained(model, adapter).eval()) if adapter else model
