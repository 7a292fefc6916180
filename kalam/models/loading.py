"""Models from their folders: a base, quantised or whole, what a run began with, and what it made of that."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.errors import InputError, first_line
from kalam.files.jsonl import read_json
from kalam.machine.devices import torch_device
from kalam.models.causality import require_causal
from kalam.models.precision import compute_dtype, settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CAUSAL = "AutoModelForCausalLM"


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
    InputError for a folder that holds no such model, lacks some of its weights or tokens of its tokenizer, and
    for a causal model that looks ahead.
    """
    import transformers

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
    device = {"": "cpu" if sharded else torch_device()}
    remote_code = base.get("remote_code", False)
    model = from_folder(base["folder"], model_class, remote_code, dtype=dtype, device_map=device, **options)
    keep_gradients_exact(model)
    if model_class == CAUSAL:
        require_causal(model, str(base["folder"]))
    return model.eval().requires_grad_(False)


def from_folder(folder: str | Path, model_class: str, remote_code: bool, **options: Any) -> "PreTrainedModel":
    """A folder's model by transformers' `model_class`, with every weight from its files and with a row for every token.

    transformers would draw at random what is not there. Raises InputError.
    """
    import transformers
    from safetensors import SafetensorError

    kind = model_class.removeprefix("AutoModelFor")
    try:
        model, found = getattr(transformers, model_class).from_pretrained(
            folder, use_safetensors=True, trust_remote_code=remote_code, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"{folder}: no {kind} model that can be loaded: {first_line(error)}") from None
    if missing := {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}:
        whole = [name for name, _ in model.named_parameters()]  # a tied one once
        names = [name for name in whole if name in missing] or sorted(missing)
        of = f"{len(names)} of {max(len(whole), len(names))} weights of {type(model).__name__}"
        raise InputError(f"{folder}: {of} are not in it: {names[0]}")
    return model


def is_out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


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
    from kalam.models.adapters import put_on
    from kalam.models.token_rows import beside_the_frozen

    return beside_the_frozen(put_on(model, adapter).eval()) if adapter else model
