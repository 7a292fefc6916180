"""Programs of others: run, their errors in one line, and what they leave taken only when it is a GGUF."""

import logging
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kalam.files.errors import InputError

logger = logging.getLogger(__name__)


def run(command: Sequence[str], name: str, **environment: Any) -> None:
    """Run a program, its output in the log. Raises InputError with its last line where it failed."""
    done = subprocess.run(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    logger.debug("%s", done.stdout)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise InputError(f"{name}: ended with status {done.returncode}: {lines[-1] if lines else 'it said nothing'}")


def run_tool(tools: str | Path, name: str, arguments: Sequence[str]) -> None:
    """Run one of llama.cpp's own programs, as `run` does."""
    run([str(Path(tools).resolve() / "bin" / name), *arguments], name)


def threads() -> str:
    """How many threads a program is told to use: those that Snakemake gave the job."""
    return os.environ.get("OMP_NUM_THREADS", "1")


@contextmanager
def written_gguf(target: str | Path) -> Iterator[Path]:
    """A temporary name for a program to write to; it becomes `target` when the block succeeds. Raises InputError
    where the program ended well and left nothing, or no GGUF."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name}")  # `.gguf` last, or the converter puts a name of its own there
    try:
        yield temporary
        if not _is_gguf(temporary):
            raise InputError(f"{target}: the tool ended well and left no GGUF")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _is_gguf(file: Path) -> bool:
    if not file.exists():
        return False
    with open(file, "rb") as handle:
        return handle.read(4) == b"GGUF"
