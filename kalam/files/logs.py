"""Log lines for people, to the terminal and to the rule's log file."""

import logging
import sys
from pathlib import Path

from kalam.files.errors import InputError

NOISY = ("httpx", "urllib3", "trafilatura", "htmldate", "matplotlib", "bitsandbytes", "torch.distributed")


def log_to(path: str | Path, mode: str = "w", level: int = logging.INFO) -> None:
    """Send log lines to the standard error and to `path` (made with its folder; `mode` is open's).

    What ends the script is written there as well: an InputError as its one line, anything
    else with its trace.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.StreamHandler(sys.stderr), logging.FileHandler(path, mode=mode, encoding="utf-8")]
    logging.basicConfig(
        level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True
    )
    logging.captureWarnings(True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)

    def log_end(kind, error, trace):
        wrong_input = issubclass(kind, InputError)
        logging.error("error: %s", error, exc_info=None if wrong_input else (kind, error, trace))

    sys.excepthook = log_end
