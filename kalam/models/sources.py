"""Base models from elsewhere: a hub's repository at a pinned revision, or a local folder."""

import logging
import os
from pathlib import Path
from typing import Any

from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json

logger = logging.getLogger(__name__)

WANTED = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]
CODE = ["*.py"]


def fetch(model: dict[str, Any], folder: str | Path) -> None:
    """Bring a model into `folder`, in the hub's layout, with `meta.json` written last.

    A hub's files are fetched once and kept whole; a local folder's are linked, not copied.
    Raises InputError for a repository, revision or folder that cannot be had or holds no
    safetensors weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if model["kind"] == "hub":
        _from_hub(model, folder)
        origin = {"repository": model["repository"], "revision": model["revision"]}
    else:
        _from_folder(Path(model["path"]), folder)
        origin = {"path": model["path"]}
    names = weights_and_settings(folder)
    if not any(name.endswith(".safetensors") for name in names):
        raise InputError(f"{next(iter(origin.values()))}: no .safetensors weights; no other format is read")
    meta = {"kind": model["kind"], **origin, "model_type": read_json(folder / "config.json")["model_type"]}
    write_json(folder / "meta.json", {**meta, "digest": digest_folder(folder, names)})


def local_files(model: dict[str, Any]) -> list[str]:
    """The files a model is made from that lie on this machine: those of a local folder, none of a hub's."""
    folder = Path(model.get("path", ""))
    return [str(folder / name) for name in weights_and_settings(folder)] if model["kind"] == "local" else []


def weights_and_settings(folder: Path) -> list[str]:
    """The names of the files that make a model what it is."""
    found = [p for pattern in (*WANTED, *CODE) for p in folder.glob(pattern)]
    return sorted({p.name for p in found} - {"meta.json"})


def _from_hub(model: dict[str, Any], folder: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    allowed = WANTED + (CODE if model["remote_code"] else [])
    try:
        snapshot_download(model["repository"], revision=model["revision"], local_dir=folder, allow_patterns=allowed)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{model['repository']} at {model['revision']}: cannot be fetched: {reason}") from None


def _from_folder(path: Path, folder: Path) -> None:
    if not (path / "config.json").is_file():
        raise InputError(f"{path}: no folder of a model; config.json is missing")
    for name in weights_and_settings(folder):
        (folder / name).unlink()
    for name in weights_and_settings(path):
        os.symlink((path / name).resolve(), folder / name)
