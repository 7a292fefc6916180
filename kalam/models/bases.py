"""What a run begins with: a base model, or what another run has made of one."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kalam.files.digests import digest_value
from kalam.files.jsonl import read_json, write_json


def write_base(
    name: str,
    choice: Sequence[str | Path],
    models: Iterable[str | Path],
    run: Sequence[str | Path],
    require: Callable[[str], None] | None,
    output: str | Path,
) -> None:
    """Write what a run begins with.

    It is what another run leaves, where `run` has that one's `meta.json` and `base.json`; else the model among
    `models`, by their `meta.json`, that `choice`, the file of the best candidate, names, or else `name`. `require`
    raises InputError for a model's folder that will not do, here, before anything is trained.
    """
    if run:
        base = base_of_run(*run)
    else:
        base = base_of_model(read_json(choice[0])["model"] if choice else name, models)
        if require:
            require(base["folder"])
    write_json(output, base)


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
