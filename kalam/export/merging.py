"""An adapter merged into the base it was trained on, proved against the two, and read as a stranger would."""

import itertools
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.export.convertible import GEMMA_27B_LAYERS
from kalam.export.gate import compare, judge, logits_of, require
from kalam.export.heldout import HeldOut
from kalam.export.reading import Reading
from kalam.files.atomic import atomic_directory
from kalam.files.digests import digest_value
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.models.adapters import load_adapted, load_base
from kalam.models.download import weights_and_settings
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

MADE_ANEW = ("config.json", "history.jsonl", "model.safetensors.index.json")


def merge_run(
    base: dict[str, Any],
    run: str | Path,
    quantisation: str,
    precision: str,
    documents: list[dict[str, Any]],
    evaluation: dict[str, int],
    exports: dict[str, Any],
    folder: str | Path,
) -> None:
    """Leave the run in `folder` as a model in the hub's layout, `meta.json` written last.

    `base` is the run's `base.json`; `quantisation` and `precision` are those it was trained with;
    `evaluation` has the context and the stride in bytes, `exports` is that section of the project. Raises
    InputError, with the figure, where the merged model is not what was trained: in fp32, before it is
    saved, and after, as a fresh process loads it.
    """
    tokenizer = load_tokenizer(base["folder"])
    heldout = HeldOut.of(documents, tokenizer, evaluation["context"], evaluation["stride"], exports["tokens"])
    original = in_fp32(load_adapted(base, run, quantisation, precision))
    model = merged(base, run, quantisation, precision)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        found, allowed = len(tokenizer), model.get_input_embeddings().weight.shape[0]
        raise InputError(f"{base['folder']}: the tokenizer has {found} tokens, the model has weights for {allowed}")
    sights = [window.tokens for window in heldout.windows]
    figures = compare(heldout.windows, logits_of(original, sights), logits_of(model, sights))
    logger.info("merged in fp32: %s", figures)
    require(f"{folder}: merged in fp32", figures, exports["bounds"]["f32"])
    kind = "bf16" if exports["dtype"] == "bf16" else "f16"
    with atomic_directory(folder) as temporary:
        save_as(model, exports["dtype"], Path(base["folder"]), temporary)
        del model
        with read_stranger(temporary, heldout) as reading:
            found = judge(f"{folder}: loaded anew", original, heldout, reading, exports["bounds"][kind], kind)
        logger.info("loaded anew: %s", found)
        del found["load_seconds"]
        meta = {"base": base["model"], "run": Path(run).name, "dtype": exports["dtype"], "figures": found}
        made_from = [base["digest"], read_json(Path(run) / "meta.json")["digest"], exports["dtype"]]
        write_json(temporary / "meta.json", {**meta, "digest": digest_value(made_from)})


def read_stranger(folder: str | Path, heldout: HeldOut) -> Reading:
    """The folder as the plain Auto classes read it in a fresh process."""
    folder = Path(folder).resolve()
    return Reading(str(folder.name), ["kalam.export.auto_reader", str(folder)], heldout.request(), {})


def merged(base: dict[str, Any], run: str | Path, quantisation: str, precision: str) -> "PreTrainedModel":
    """The run as one model with whole weights in fp32: its adapter added to the base that it was trained on,
    which is the dequantised one where that was quantised."""
    from peft import PeftModel

    if read_json(Path(run) / "meta.json")["identity"]["kind"] == "full":
        return _as_converted(in_fp32(load_adapted(base, run, "none", precision)))
    model = in_fp32(load_base(base, "none", precision))
    if quantisation != "none":
        _copy_dequantised(in_fp32(load_base(base, quantisation, precision)), model)
    adapted = PeftModel.from_pretrained(model, Path(run) / "adapter")
    _untie_what_differs(adapted)
    return _as_converted(adapted.merge_and_unload().eval())


def _as_converted(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same function, written so that llama.cpp reads it too: it scales Gemma 3's queries by the size of a
    head, whatever the settings say, so another scale moves into the weights that norm the queries."""
    import torch

    config = model.config
    if config.model_type != "gemma3_text" or config.num_hidden_layers == GEMMA_27B_LAYERS:
        return model
    ratio = (config.head_dim / config.query_pre_attn_scalar) ** 0.5
    for layer in model.model.layers:
        attention = layer.self_attn
        with torch.no_grad():
            attention.q_norm.weight.copy_((1 + attention.q_norm.weight) * ratio - 1)  # Gemma's norms add one
        attention.scaling = config.head_dim**-0.5
    config.query_pre_attn_scalar = config.head_dim
    return model


def in_fp32(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model with everything in fp32 but the codes of quantised weights, which it computes with in fp32."""
    import torch

    for tensor in itertools.chain(model.parameters(), model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.float()
    for module in model.modules():
        if state := getattr(getattr(module, "weight", None), "quant_state", None):
            module.compute_dtype, state.dtype = torch.float32, torch.float32
    return model


def _copy_dequantised(quantised: "PreTrainedModel", model: "PreTrainedModel") -> None:
    from bitsandbytes.functional import dequantize_4bit

    for name, module in quantised.named_modules():
        if state := getattr(getattr(module, "weight", None), "quant_state", None):
            weight = model.get_submodule(name).weight
            weight.data.copy_(dequantize_4bit(module.weight.data, state).reshape(weight.shape))


def _untie_what_differs(adapted) -> None:
    """Give the output layer weights of its own where an adapter is on it or on the input embeddings that it
    shares: merged into both it would be another model."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = adapted.get_base_model()
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    inner = [end.get_base_layer() if isinstance(end, BaseTunerLayer) else end for end in ends]
    if inner[0] is not inner[1] and inner[0].weight is inner[1].weight and inner != ends:
        inner[1].weight = type(inner[1].weight)(inner[1].weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def save_as(model: "PreTrainedModel", dtype: str, base: Path, folder: Path) -> None:
    """Write the weights in a dtype, and whatever else the base's folder has (tokenizer, chat template,
    generation settings, licence) as it is there. Raises InputError for a weight beyond the dtype."""
    import torch

    kind = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    state = {name: weight.to(kind) for name, weight in model.state_dict().items()}
    for name, weight in state.items():
        if not weight.isfinite().all():
            raise InputError(f"exports.dtype: {name} has weights beyond {dtype}; allowed is bf16")
    for name in weights_and_settings(base):
        if name not in MADE_ANEW and not name.endswith(".safetensors"):
            shutil.copyfile(base / name, folder / name)
    for licence in base.glob("LICENSE*"):
        shutil.copyfile(licence, folder / licence.name)
    model.config.dtype = kind
    model.to(kind).save_pretrained(folder, state_dict=state)
