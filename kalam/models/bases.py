"""What a run begins with: a base model, or what another run has made of one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kalam.files.digests import digest_value
from kalam.files.jsonl import read_json


def base_of_model(name: str, metas: Iterable[str | Path]) -> dict[str, Any]:
    """The base that a model is, from the `meta.json` of that name among some: model, run (None), folder,
    adapter (None), remote_code, digest; `added`, the first and the last but one of the ids that its vocabulary
    was extended by (None where it was not)."""
    folder = next(Path(meta).parent for meta in metas if Path(meta).parent.name == name)
    meta = read_json(folder / "meta.json")
    return {
        "model": name,
        "run": None,
        "folder": str(folder),
        "adapter": None,
        "remote_code": meta.get("remote_code", False),
        "added": meta.get("added"),
        "digest": meta["digest"],
    }


def base_of_run(meta: str | Path, base: str | Path) -> dict[str, Any]:
    """The base that another run leaves, from its `meta.json` and its own `base.json`: its adapter on that
    base, or its whole model."""
    folder, before, made = Path(meta).parent, read_json(base), read_json(meta)
    base = {**before, "run": folder.name, "digest": digest_value([before["digest"], made["digest"]])}
    if made["identity"]["kind"] == "full":
        return {**base, "folder": str(folder / "model"), "adapter": None}
    return {**base, "adapter": str(folder / "adapter")}
