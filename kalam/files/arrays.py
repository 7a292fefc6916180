"""Named arrays in one safetensors file: written as they come, mapped into memory when they are read."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from kalam.files.atomic import atomic_write

NAMES = {np.dtype(np.int64): "I64", np.dtype(np.int32): "I32", np.dtype(np.bool): "BOOL"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}


@contextmanager
def atomic_arrays(path: str | Path, dtypes: Mapping[str, type]) -> Iterator[dict[str, IO[bytes]]]:
    """A file for each name, which takes that array's bytes as they come; `path` has them all when the block succeeds.

    The arrays have one axis. The bytes are those of `safetensors.numpy.save`, which holds the arrays.
    """
    wanted = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        parts = {name: stack.enter_context(TemporaryFile(dir=folder)) for name in wanted}
        yield parts
        # The widest first, so that each begins at a multiple of its width; then by name.
        order = sorted(wanted, key=lambda name: (-wanted[name].itemsize, name))
        with atomic_write(path, "wb") as whole:
            whole.write(_header({name: (wanted[name], parts[name].tell()) for name in order}))
            for name in order:
                parts[name].seek(0)
                shutil.copyfileobj(parts[name], whole)


def _header(sizes: Mapping[str, tuple[np.dtype, int]]) -> bytes:
    """The head of a file of arrays, from the type and the bytes of each: its length (8 bytes), then JSON."""
    entries, begin = {}, 0
    for name, (dtype, size) in sizes.items():
        offsets = [begin, begin + size]
        entries[name] = {"dtype": NAMES[dtype], "shape": [size // dtype.itemsize], "data_offsets": offsets}
        begin += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def map_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file, by name; their bytes are read from it where and when they are looked at."""
    data = np.memmap(path, mode="r").view(np.ndarray)
    begin = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:begin].tobytes())
    header.pop("__metadata__", None)
    return {name: _array(data[begin:], **entry) for name, entry in header.items()}


def _array(data: np.ndarray, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    return data[slice(*data_offsets)].view(DTYPES[dtype]).reshape(shape)
