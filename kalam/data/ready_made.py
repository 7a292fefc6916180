"""Splits that a source brings along: their names, and the files of a folder of them."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from kalam.data.placement import SPLITS
from kalam.data.reading import FORMATS
from kalam.files.errors import InputError
from kalam.files.opening import format_of, is_compressed, kind_of, require_file

OTHER_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}
ROWS = {*FORMATS} - {".json"}  # which beside splits tells about them more often than it is one of a wrong name
WANTED = f"wanted are train, validation (also {', '.join(OTHER_NAMES)}) and test, each once"


def origin_of_splits(settings: Mapping[str, Any]) -> str:
    """`folder` or `dataset`, whichever a source of ready-made splits names.

    Raises InputError where it names both or neither, or a dataset without a revision.
    """
    found = [key for key in ("folder", "dataset") if settings[key] is not None]
    if len(found) != 1:
        raise InputError(f"folder, dataset: found {' and '.join(found) or 'neither'}; allowed is exactly one of them")
    if found == ["dataset"] and settings["revision"] is None:
        raise InputError("revision: found none; a dataset is pinned by its commit")
    return found[0]


def own_names(key: str, names: Iterable[str]) -> dict[str, str]:
    """What a source itself calls each of train, validation and test, in this order.

    Raises InputError naming `key` and a split by another name, a missing split or one that is there twice.
    """
    names = sorted(names)
    for name in names:
        if OTHER_NAMES.get(name, name) not in SPLITS:
            raise InputError(f"{key}: {name!r} is no name of a split; {WANTED}")
    known = {OTHER_NAMES.get(name, name): name for name in names}
    if len(names) != len(SPLITS) or len(known) != len(SPLITS):
        raise InputError(f"{key}: found {', '.join(names) or 'no split'}; {WANTED}")
    return {split: known[split] for split in SPLITS}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _stem(path: Path) -> str:
    return Path(path.stem).stem if is_compressed(path) else path.stem


def files_by_split(folder: str, root: str | Path) -> dict[str, list[str]]:
    """The files of each split, relative to `root`, sorted: `<split>.jsonl`, `<split>.csv.gz` or of another format of
    rows or text, or all files below `<split>/`.

    Other files beside them (a README, a JSON file about the dataset) are passed over, and so is what has a hidden name.
    Raises InputError naming the folder as `own_names` does, or a file of a split that is of another kind.
    """
    base = Path(root, folder)
    if not base.is_dir():
        raise InputError(f"folder: {folder!r} is no folder")
    files: dict[str, list[str]] = {}
    for entry in sorted(path for path in base.iterdir() if not _is_hidden(path.relative_to(base))):
        name = entry.name if entry.is_dir() else _stem(entry)
        below = entry.rglob("*") if entry.is_dir() else [entry]
        paths = sorted(path for path in below if kind_of(path) != "a folder" and not _is_hidden(path.relative_to(base)))
        if OTHER_NAMES.get(name, name) in SPLITS or any(format_of(path) in ROWS for path in paths):
            files.setdefault(name, []).extend(str(Path(folder, path.relative_to(base))) for path in paths)
    for path in chain.from_iterable(files.values()):
        require_file(Path(root, path), path, "folder")
        if format_of(path) not in FORMATS:
            raise InputError(f"folder: {path}: only {', '.join(FORMATS)} files are read, also .gz and .zst")
    names = own_names(f"folder: {folder}", (name for name, paths in files.items() if paths))
    return {split: files[name] for split, name in names.items()}
