"""The local files a source reads; light, for it is asked while the workflow is still being put together."""

import glob
from itertools import chain
from pathlib import Path
from typing import Any

from kalam.data.reading import FORMATS
from kalam.data.ready_made import files_by_split, origin_of_splits
from kalam.files.errors import InputError
from kalam.files.opening import format_of, kind_of, require_file

PAGES = (".html", ".htm", ".xhtml")
READ = (*FORMATS, *PAGES)


def source_inputs(source: dict[str, Any], root: str | Path) -> list[str]:
    """The files of a source: those its patterns match, or all of a served or local folder; sorted, below `root`.

    Raises InputError as `matched_files`, `folder_files`, `origin_of_splits` and `files_by_split` do.
    """
    folder_of_splits = source["kind"] == "splits" and origin_of_splits(source) == "folder"
    if source["kind"] == "files":
        files = matched_files(source["paths"], root)
    elif source["kind"] == "site" and source["serve"] is not None:
        files = folder_files("serve", source["serve"], root)
    elif folder_of_splits:
        files = sorted(chain.from_iterable(files_by_split(source["folder"], root).values()))
    elif source["kind"] in ("hub", "splits") and Path(root, source["dataset"]).is_dir():
        files = folder_files("dataset", source["dataset"], root)
    else:
        files = []
    return [str(Path(root, file)) for file in files]


def matched_files(patterns: list[str], root: str | Path) -> list[str]:
    """The files that glob patterns match (`**` is any depth), relative to `root`, each once, sorted.

    Folders are passed over, but for one named like a file. Raises InputError naming a pattern that matches no file,
    or what is no file, or neither of rows nor of text nor a page.
    """
    found: set[str] = set()
    for pattern in patterns:
        matches = set(glob.glob(pattern, root_dir=root, recursive=True))
        matches -= {name for name in matches if format_of(name) not in READ and kind_of(Path(root, name)) == "a folder"}
        if not matches:
            raise InputError(f"paths: {pattern!r} matches no file")
        found |= matches
    for path in sorted(found):
        require_file(Path(root, path), path, "paths")
        if format_of(path) not in READ:
            raise InputError(f"paths: {path}: only {', '.join(READ)} files are read, also .gz and .zst")
    return sorted(found)


def folder_files(key: str, folder: str, root: str | Path) -> list[str]:
    """All files below a folder, relative to `root`, sorted. Raises InputError naming `key` where there is none."""
    files = sorted(
        str(Path(folder, path.relative_to(Path(root, folder))))
        for path in Path(root, folder).rglob("*")
        if path.is_file()
    )
    if not files:
        raise InputError(f"{key}: {folder!r} is no folder with files")
    for file in files:
        require_file(Path(root, file), file, key)
    return files
