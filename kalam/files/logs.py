"""Log lines for people, to the terminal and to the rule's log file."""

import logging
import os
import sys
from pathlib import Path

from kalam.files.atomic import disk_is_full, full_disk
from kalam.files.claim import claim
from kalam.files.errors import InputError

NOISY = ("httpx", "urllib3", "trafilatura", "htmldate", "matplotlib", "bitsandbytes", "torch.distributed")


def log_to(path: str | Path, mode: str = "w", level: int = logging.INFO) -> None:
    """Send log lines to the standard error and to `path` (made with its folder; `mode` is open's).

    What ends the script is written there as well: an InputError, a full disk or Ctrl-C as one line,
    anything else with its trace. With mode `w` this process claims the job whose log that is.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    claim(path, anew=mode == "w")
    handlers = [logging.StreamHandler(sys.stderr), LogFile(path, mode="a", encoding="utf-8")]
    logging.basicConfig(
        level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True
    )
    logging.captureWarnings(True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)

    def log_end(kind, error, trace):
        line = in_a_line(error)
        logging.error("error: %s", line or error, exc_info=None if line else (kind, error, trace))

    sys.excepthook = log_end


class LogFile(logging.FileHandler):
    """A log file that a full disk makes no noise about: the terminal has the line."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def in_a_line(error: BaseException) -> str | None:
    """What a user can mend, or has done; None of anything else, which wants its trace."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; run again to go on"
    if disk_is_full(error):
        return f"{getattr(error, 'filename', None) or os.getcwd()}: {full_disk(error)}"
    return None
