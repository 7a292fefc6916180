"""Base models from elsewhere: a hub's repository at a pinned revision, or a local folder."""

import logging
import os
from pathlib import Path
from typing import Any

from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.text.tokens import load_tokenizer

logger = logging.getLogger(__name__)

WANTED = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]
CODE = ["*.py"]
CARD = "README.md"


def fetch(model: dict[str, Any], head: str, folder: str | Path) -> None:
    """Bring a model into `folder`, in the hub's layout, with `meta.json` written last.

    A hub's files are fetched once and kept whole, by revision, under `.hub`; the model's files are
    links to them, or into a local folder. `head` is the Auto class of transformers for its task. The licence of the
    weights is the one that is configured, else what the model's own card says.
    Raises InputError for a repository, revision or folder that cannot be had, holds no safetensors
    weights or a model with another head, or a tokenizer that cannot be loaded or has more tokens than the model.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if model["kind"] == "hub":
        source = _from_hub(model, folder / ".hub")
        origin = {key: model[key] for key in ("repository", "revision", "remote_code")}
    else:
        source = Path(model["path"])
        origin = {"path": model["path"]}
    names = weights_and_settings(source)
    given = model.get("repository", model.get("path"))
    if "config.json" not in names:
        raise InputError(f"{given}: no model in the hub's layout; config.json is missing")
    if not any(name.endswith(".safetensors") for name in names):
        raise InputError(f"{given}: no .safetensors weights; no other format is read")
    config = read_json(source / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"{given}: config.json names no model_type; allowed are those of transformers")
    _require_rows(config, source, given)
    if other := _other_head(config, head):
        raise InputError(f"{given}: found {other}; allowed where the task is {model['task']} is one for {head}")
    if source.resolve() == folder.resolve():
        raise InputError(f"{given}: that is where the model is to be linked; allowed is any other folder")
    _link(source, names, folder)
    licence = model.get("licence") or _licence(source / CARD)
    meta = {"kind": model["kind"], **origin, "model_type": config["model_type"], "licence": licence}
    write_json(folder / "meta.json", {**meta, "digest": digest_folder(folder, names)})


def _licence(card: Path) -> str | None:
    """The licence that the metadata at the head of a model's card name."""
    import yaml

    if not card.exists():
        return None
    mark, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("\n")
    try:
        said = yaml.safe_load(rest.partition("\n---")[0]) if mark.strip() == "---" else None
    except yaml.YAMLError:
        said = None
    said = said if isinstance(said, dict) else {}
    named = said.get("license_name") if said.get("license") == "other" else said.get("license")
    return named if isinstance(named, str) else None


def _require_rows(config: dict[str, Any], source: Path, given: str) -> None:
    """Raise InputError where the tokenizer cannot be loaded, or has more tokens than `config.json` says."""
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    rows = text.get("vocab_size")
    tokens = len(load_tokenizer(source))
    if isinstance(rows, int) and tokens > rows:
        raise InputError(f"{given}: its tokenizer has {tokens} tokens; allowed are {rows}, the rows of its embeddings")


def _other_head(config: dict[str, Any], head: str) -> str | None:
    """The architecture that a model's `config.json` names, where it is one for another Auto class than `head`."""
    import transformers

    for name in config.get("architectures") or []:
        _, cut, kind = name.rpartition("For")
        auto = f"AutoModelFor{kind}"
        if cut and auto != head and hasattr(transformers, auto):
            return name
    return None


def local_files(model: dict[str, Any]) -> list[str]:
    """The files a model is made from that lie on this machine: those of a local folder, none of a hub's."""
    folder = Path(model.get("path", ""))
    return [str(folder / name) for name in weights_and_settings(folder)] if model["kind"] == "local" else []


def weights_and_settings(folder: Path) -> list[str]:
    """The names of the files that make a model what it is."""
    found = [p for pattern in (*WANTED, *CODE) for p in folder.glob(pattern)]
    return sorted({p.name for p in found} - {"meta.json"})


def _from_hub(model: dict[str, Any], cache: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    allowed = [*WANTED, CARD, *(CODE if model["remote_code"] else [])]
    name, revision = model["repository"], model["revision"]
    try:
        # Not `local_dir`: where the hub cannot be reached that gives whatever revision lies there.
        return Path(snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=allowed))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name} at {revision}: cannot be fetched: {reason}") from None


def _link(source: Path, names: list[str], folder: Path) -> None:
    for old in weights_and_settings(folder):
        (folder / old).unlink()
    for name in names:
        os.symlink((source / name).resolve(), folder / name)
