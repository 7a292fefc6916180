"""An adapter merged into the base it was trained on, and proved to be the two together, as others load it too."""

import itertools
import logging
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.export.architectures import scales_queries_by_head_size
from kalam.export.gate import check_export, compare, logits_of, require_bounds
from kalam.export.heldout import HeldOut
from kalam.export.reader_process import ReaderProcess
from kalam.files.atomic import atomic_directory
from kalam.files.digests import digest_value
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.models.adapters import put_on
from kalam.models.download import weights_and_settings
from kalam.models.loading import load_adapted, load_base
from kalam.models.scratch import save_weights
from kalam.text.chat_template import TEMPLATE_FILE
from kalam.text.tokens import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


def merge_run(
    run: str,
    trained: str | Path,
    base: str | Path,
    quantisation: str,
    test: str | Path,
    parts: Collection[str] | None,
    evaluation: dict[str, int],
    exports: dict[str, Any],
    folder: str | Path,
) -> None:
    """Leave a run in `folder` as a model in the hub's layout, `meta.json` written last.

    `trained` is the run's folder and `base` its `base.json`; `quantisation` is the one it was trained with, and the
    precision is the one that its `meta.json` says, as this device may have another. The test documents of some parts
    are what the two are compared on; `evaluation` has the context and the stride in bytes, `exports` is that section
    of the project. Raises InputError, with the figure, where the merged model is not what was trained: in fp32,
    before it is saved, and after, as a fresh process loads it.
    """
    base, made = read_json(base), read_json(Path(trained) / "meta.json")
    precision = made["made_with"]["precision"]
    tokenizer = load_tokenizer(base["folder"])
    heldout = HeldOut.read(test, parts, tokenizer, evaluation, exports["tokens"])
    original = in_fp32(load_adapted(base, trained, quantisation, precision))
    model = merged(base, trained, quantisation, precision)
    if (pieces := len(tokenizer)) > (rows := model.get_input_embeddings().weight.shape[0]):
        raise InputError(f"{base['folder']}: the tokenizer has {pieces} tokens, the model has weights for {rows}")
    figures = compare(heldout.windows, logits_of(original, heldout.window_ids), logits_of(model, heldout.window_ids))
    logger.info("merged in fp32: %s", figures)
    require_bounds(f"{folder}: merged in fp32", figures, exports["bounds"]["f32"])
    with atomic_directory(folder) as temporary:
        save_as(model, exports["dtype"], Path(base["folder"]), temporary)
        for template in Path(trained).glob(f"*/{TEMPLATE_FILE}"):  # the base has none
            shutil.copyfile(template, temporary / TEMPLATE_FILE)
        del model
        kind = "bf16" if exports["dtype"] == "bf16" else "f16"
        name = f"{folder}: loaded anew"
        with read_saved(name, temporary, heldout) as reader:
            found = check_export(name, original, heldout, reader, exports["bounds"][kind], kind)
        logger.info("loaded anew: %s", found)
        del found["load_seconds"]
        meta = {"base": base["model"], "run": run, "dtype": exports["dtype"], "figures": found}
        made_from = [base["digest"], made["digest"], exports["dtype"]]
        write_json(temporary / "meta.json", {**meta, "digest": digest_value(made_from)})


def read_saved(name: str, folder: Path, heldout: HeldOut) -> ReaderProcess:
    """A reader of a model folder by transformers' Auto classes; `name` is what its errors call it."""
    return ReaderProcess(name, ["kalam.export.auto_reader", str(folder.resolve())], heldout.request(), {})


def merged(base: dict[str, Any], trained: str | Path, quantisation: str, precision: str) -> "PreTrainedModel":
    """A run as one model with whole weights in fp32: its adapter added to the base that it was trained on, dequantised
    where that was quantised."""
    if read_json(Path(trained) / "meta.json")["identity"]["kind"] == "full":
        return _scale_queries_by_head_size(in_fp32(load_adapted(base, trained, "none", precision)))
    model = in_fp32(load_base(base, "none", precision))
    if quantisation != "none":
        _copy_dequantised(in_fp32(load_base(base, quantisation, precision)), model)
    adapted = put_on(model, Path(trained) / "adapter")
    _untie_adapted_embeddings(adapted)
    return _scale_queries_by_head_size(adapted.merge_and_unload().eval())


def _scale_queries_by_head_size(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same function, written so that llama.cpp computes it too: where that scales queries by the size of a head,
    whatever the settings say, another scale moves into the weights of the queries' norm."""
    import torch

    config = model.config
    if not scales_queries_by_head_size(config.to_dict()):
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


def _untie_adapted_embeddings(adapted) -> None:
    """Give the output layer weights of its own where it shares those of the input embeddings and one of the two has an
    adapter: merged into both, that would make another model."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = adapted.get_base_model()
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    inner = [end.get_base_layer() if isinstance(end, BaseTunerLayer) else end for end in ends]
    if inner[0] is not inner[1] and inner[0].weight is inner[1].weight and inner != ends:
        inner[1].weight = type(inner[1].weight)(inner[1].weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def save_as(model: "PreTrainedModel", dtype: str, base: Path, folder: Path) -> None:
    """Write the weights in a dtype as one `model.safetensors`, of whatever size, with their `config.json`; every other
    file of the base's folder (tokenizer, chat template, generation settings, licence) is copied. Raises InputError
    for a weight beyond the dtype."""
    import torch

    kind = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    state = {name: weight.to(kind) for name, weight in model.state_dict().items()}
    for name, weight in state.items():
        if not weight.isfinite().all():
            raise InputError(f"exports.dtype: {name} has weights beyond {dtype}; allowed is bf16")
    model.config.dtype = kind
    save_weights(model.to(kind), folder, state)
    for name in copied_files(base):  # last: the library writes generation settings in its own words
        shutil.copyfile(base / name, folder / name)


def copied_files(base: Path) -> list[str]:
    """The names of a base's files that a model merged into it has too: all but the weights and what describes them."""
    names = {*weights_and_settings(base), *(file.name for file in base.glob("LICENSE*"))} - {"config.json"}
    return sorted(name for name in names if not name.endswith((".safetensors", ".safetensors.index.json")))
