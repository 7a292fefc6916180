"""Which architectures become GGUF: those of llama.cpp's converter that were tried here, from training to the gate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kalam.configuration.project import BEST, CAUSAL, LOWEST, candidates, exported_runs, root
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json

# By transformers' `model_type`. XGLM is no architecture of llama.cpp.
CONVERTIBLE = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gemma3", "qwen3_vl")
# AutoTokenizer puts this architecture's own pre-tokeniser in place of the one that a tokenizer was trained
# with here: whoever downloads the model would get other tokens.
OWN_TOKENIZER_REPLACED = ("qwen2",)
GEMMA_DEFAULT = 256  # of both settings in transformers
GEMMA_27B_LAYERS = 62  # by which llama.cpp knows the one model that it scales otherwise
GEMMA_PATTERN = 6  # every so many layers one attends to everything


def architecture(model: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of a model's architecture, from the configuration or the files of a local folder; None where
    they are not here yet."""
    if model["kind"] == "scratch":
        return model["architecture"]
    file = Path(model.get("path", "")) / "config.json"
    return read_json(file) if model["kind"] == "local" and file.is_file() else None


def objection(settings: dict[str, Any] | None, made_here: bool) -> str | None:
    """Why a model of this architecture cannot be exported; None where it can, or nobody knows yet.

    `made_here`: whether its tokenizer was trained here.
    """
    if settings is None:
        return None
    kind = settings.get("model_type")
    if kind not in CONVERTIBLE:
        return f"llama.cpp has no {kind}; it has {', '.join(CONVERTIBLE)}"
    if made_here and kind in OWN_TOKENIZER_REPLACED:
        return f"AutoTokenizer replaces a tokenizer trained here in a folder of {kind}"
    return _gemma(settings) if kind == "gemma3_text" else None


def _gemma(settings: dict[str, Any]) -> str | None:
    """llama.cpp knows by its number how far a layer sees."""
    for number, kind in enumerate(settings.get("layer_types") or [], start=1):
        wanted = "sliding_attention" if number % GEMMA_PATTERN else "full_attention"
        if kind != wanted:
            return f"gemma3_text has {kind} in layer {number}; llama.cpp takes {wanted}"
    return None


def adapter_objection(settings: dict[str, Any] | None) -> str | None:
    """Why an adapter cannot be exported beside its base, where the two merged can: llama.cpp scales Gemma's queries
    by the size of a head, and a merged model is made to agree (kalam.export.merging)."""
    if settings is None or settings.get("model_type") != "gemma3_text":
        return None
    scale, size = (settings.get(key, GEMMA_DEFAULT) for key in ("query_pre_attn_scalar", "head_dim"))
    if scale == size or settings.get("num_hidden_layers") == GEMMA_27B_LAYERS:
        return None
    return f"gemma3_text has query_pre_attn_scalar {scale}; llama.cpp takes head_dim, {size}"


def folder_objection(folder: str | Path) -> str | None:
    """The same of a model's folder under `results/`."""
    made_here = read_json(Path(folder) / "meta.json").get("kind") is None  # no hub's, no folder's, no extension of one
    return objection(read_json(Path(folder) / "config.json"), made_here)


def require_convertible(folder: str | Path) -> None:
    """Raise InputError where the model in a folder cannot be exported."""
    if reason := folder_objection(folder):
        raise InputError(f"{folder}: cannot be exported: {reason}")


def require_exportable(projects: dict[str, dict[str, Any]]) -> None:
    """Raise InputError where a project of the configuration exports what cannot be."""
    for name, project in projects.items():
        for message in export_contradictions(project):
            raise InputError(f"config: projects.{name}.{message}")


def export_contradictions(project: dict[str, Any]) -> Iterator[str]:
    """Runs that cannot be exported, as `key: what was found; what is allowed`."""
    causal = [name for name, run in project["runs"].items() if run["task"] == CAUSAL]
    for name in exported_runs(project):
        if name not in causal:
            yield f"exports.runs: found {name}, which is no causal run; allowed are {', '.join(causal) or 'none'}"
            continue
        if project["exports"]["adapter"] and project["runs"][name]["tuning"] == "full":
            yield f"exports.adapter: found true, while {name} trains every weight; allowed is false"
        base = root(project["runs"], name)
        choice = project["candidates"]["choice"]
        names = [base] if base != BEST else candidates(project) if choice == LOWEST else [choice]
        models = {model: project["models"][model] for model in names}
        reasons = {m: objection(architecture(section), section["kind"] == "scratch") for m, section in models.items()}
        if all(reasons.values()):
            found = "; ".join(f"{model}: {reason}" for model, reason in reasons.items())
            yield f"exports.runs: found {name}, whose base cannot be converted ({found}); allowed is another base"
        reasons = {m: adapter_objection(architecture(section)) for m, section in models.items()}
        if project["exports"]["adapter"] and all(reasons.values()):
            found = "; ".join(f"{model}: {reason}" for model, reason in reasons.items())
            yield f"exports.adapter: found true, while the base would be another ({found}); allowed is false"
