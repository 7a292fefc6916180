"""What took time to find out, kept in the user's cache folder for the next process: it may be deleted at any time.

`$XDG_CACHE_HOME/kalam`, or `~/.cache/kalam`. Where nothing can be written, nothing is kept.
"""

import json
import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any


def remember(kind: str, key: str, value: Any) -> None:
    """Keep a value, JSON, under all that it follows from."""
    with suppress(OSError, RuntimeError):
        path = _file(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # several may write the same at once
            temporary = Path(folder, path.name)
            temporary.write_text(json.dumps(value), encoding="utf-8")
            os.replace(temporary, path)


def recall(kind: str, key: str) -> Any:
    """The value that was kept under this key; None where none was, or what is there cannot be read."""
    try:
        return json.loads(_file(kind, key).read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return None


def _file(kind: str, key: str) -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"  # RuntimeError: no home
    return Path(folder, "kalam", kind, f"{sha256(key.encode()).hexdigest()}.json")
