"""A training from its inputs to its results: found finished, resumed, or made."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_directory
from kalam.files.digests import digest_value
from kalam.files.jsonl import write_json
from kalam.training.handout import file_digests, hand_out

logger = logging.getLogger(__name__)

Writer = Callable[[Path], None]


def finished_or(
    checkpoints: str | Path,
    results: str | Path,
    identity: dict[str, Any],
    make: Callable[[Path], tuple[Writer, dict[str, Any]]],
) -> None:
    """Hand out the training with this identity from `checkpoints`, or make it there first.

    `identity` is JSON: everything that decides the result, and nothing else; its digest, the
    fingerprint, names the folder. `make(folder)` trains in that folder and returns a function
    that writes what the training yields, and what to say of it in `meta.json`.
    """
    fingerprint = digest_value(identity)
    folder = Path(checkpoints) / fingerprint
    final = folder / "final"
    if (final / "meta.json").exists():
        logger.info("finished before, as %s: handing it out without a step", fingerprint)
    else:
        logger.info("training %s", folder)
        write, outcome = make(folder)
        with atomic_directory(final) as temporary:
            write(temporary)
            files = file_digests(temporary)
            meta = {"fingerprint": fingerprint, "identity": identity, "outcome": outcome, "files": files}
            write_json(temporary / "meta.json", {**meta, "digest": digest_value(files)})
    hand_out(final, Path(results))
