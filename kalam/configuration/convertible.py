"""Which architectures become GGUF: those of llama.cpp's converter that were tried here, from training to the gate."""

from pathlib import Path
from typing import Any

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json

# By transformers' `model_type`. XGLM is no architecture of llama.cpp.
CONVERTIBLE = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gemma3", "qwen3_vl")
# AutoTokenizer puts this architecture's own pre-tokeniser in place of the one that a tokenizer was trained
# with here: whoever downloads the model would get other tokens.
OWN_TOKENIZER_REPLACED = ("qwen2",)


def model_type(model: dict[str, Any]) -> str | None:
    """The architecture of a model of the configuration; None where only its files can tell, and are not here."""
    if model["kind"] == "scratch":
        return model["architecture"]["model_type"]
    file = Path(model.get("path", "")) / "config.json"
    return read_json(file).get("model_type") if model["kind"] == "local" and file.is_file() else None


def objection(kind: str | None, made_here: bool) -> str | None:
    """Why a model of this architecture cannot be exported; None where it can, or nobody knows yet."""
    if kind is not None and kind not in CONVERTIBLE:
        return f"{kind} cannot be exported; llama.cpp has {', '.join(CONVERTIBLE)}"
    if made_here and kind in OWN_TOKENIZER_REPLACED:
        return f"{kind} cannot be exported with a tokenizer trained here, which AutoTokenizer replaces for it"
    return None


def folder_objection(folder: str | Path) -> str | None:
    """The same of a model's folder."""
    meta = read_json(Path(folder) / "meta.json")
    made_here = meta.get("kind") not in ("hub", "local")
    return objection(read_json(Path(folder) / "config.json").get("model_type"), made_here)


def require_convertible(folder: str | Path) -> None:
    """Raise InputError where the model in a folder cannot be exported."""
    if reason := folder_objection(folder):
        raise InputError(f"{folder}: {reason}")
