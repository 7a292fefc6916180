"""Programs of others: run, their errors in one line, and what they leave taken only when it is a GGUF."""

import logging
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kalam.files.atomic import replacement
from kalam.files.errors import InputError

logger = logging.getLogger(__name__)

STEP = re.compile(r"\[(\d+)/(\d+)\]")
TELLINGS = 20  # lines about a program's steps, at most


def run(command: Sequence[str], name: str, **environment: Any) -> None:
    """Run a program, its output in the log, and now and then a line of how far it is where it counts its steps, as
    ninja does. Raises InputError with its last line where it failed."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    last, told = "it said nothing", -1
    with subprocess.Popen(command, env=os.environ | environment, **piped) as process:
        for line in filter(str.strip, process.stdout):
            last = line.rstrip("\n")
            logger.debug("%s", last)
            if (step := STEP.match(last)) and (done := TELLINGS * int(step[1]) // int(step[2])) > told:
                told = done
                logger.info("%s: step %s of %s", name, step[1], step[2])
    if process.returncode:
        raise InputError(f"{name}: ended with status {process.returncode}: {last}")


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
    # `.gguf` last, or the converter puts a name of its own there.
    with replacement(target, ".gguf") as temporary:
        yield temporary
        if not _is_gguf(temporary):
            raise InputError(f"{target}: the tool ended well and left no GGUF")


def _is_gguf(file: Path) -> bool:
    if not file.exists():
        return False
    with open(file, "rb") as handle:
        return handle.read(4) == b"GGUF"
