"""A training from its inputs to its results: found finished, resumed, or made."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalam.files.atomic import atomic_directory
from kalam.files.digests import digest_file, digest_value
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, write_json
from kalam.files.sealed import read_sealed, write_sealed
from kalam.files.versions import versions
from kalam.machine.devices import device_name
from kalam.machine.launch import is_main
from kalam.training.handout import drop_checkpoints, file_digests, hand_out

if TYPE_CHECKING:
    from kalam.training.checkpoints import CheckpointFolder

logger = logging.getLogger(__name__)

Writer = Callable[[Path], None]
LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate")


def train_once(
    checkpoints: str | Path,
    results: str | Path,
    identity: dict[str, Any],
    make: "Callable[[CheckpointFolder], tuple[Writer, dict[str, Any]]]",
    precision: str,
) -> None:
    """Hand out the training with this identity from `checkpoints`, or make it there first.

    `identity` is JSON: everything that decides the result, and nothing else; its digest, the
    fingerprint, names the folder. `make(store)` trains in that folder, which it holds alone, and
    returns a function that writes what the training yields, and what to say of it in `meta.json`, where
    `precision` (settled), versions and device stand beside it. What was finished and is damaged by now is
    made again, from the checkpoints where they are still there. Raises InputError where another training
    holds the folder.
    """
    fingerprint = digest_value(identity)
    folder = Path(checkpoints) / fingerprint
    final = folder / "final"
    if is_finished(final, fingerprint):
        logger.info("finished before, as %s: handing it out without a step", fingerprint)
    else:
        from kalam.training.checkpoints import CheckpointFolder
        from kalam.training.processes import Processes

        logger.info("training %s", folder)
        processes = Processes()
        store = CheckpointFolder(folder, writes=processes.main)
        with store.lease():
            processes.wait()
            write, outcome = make(store)
            if processes.main:
                store.require_lease()
                meta = {"fingerprint": fingerprint, "identity": identity, "outcome": outcome}
                finish(final, write, {**meta, "made_with": made_with(precision)})
    if is_main():
        if not final.with_suffix(".json").exists():  # killed right before
            seal(final)
        drop_checkpoints(folder)
        hand_out(final, Path(results))


def made_with(precision: str) -> dict[str, Any]:
    """What two equal trainings on one machine have in common, and two machines may not."""
    return {"versions": versions(LIBRARIES), "precision": precision, "device": device_name()}


def finish(final: Path, write: Writer, meta: dict[str, Any]) -> None:
    """Make the folder of a finished training, whole or not at all."""
    with atomic_directory(final) as temporary:
        write(temporary)
        files = file_digests(temporary)
        write_json(temporary / "meta.json", {**meta, "files": files, "digest": digest_value(files)})
    seal(final)


def seal(final: Path) -> None:
    """Write the digest of what holds the digests of a finished training, beside its folder."""
    write_sealed(final.with_suffix(".json"), {"meta": digest_file(final / "meta.json")})


def is_finished(final: Path, fingerprint: str) -> bool:
    """Whether a training was finished and its folder is still what it was, by its own digests."""
    if not (final / "meta.json").exists():
        return False
    try:
        require_as_finished(final, fingerprint)
    except (OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("finished before, but damaged since, so it is made again: %s", error)
        return False
    return True


def require_as_finished(final: Path, fingerprint: str) -> None:
    """Raise InputError, or another error of reading, for the first file that is not what it was."""
    meta = read_json(final / "meta.json")
    beside = final.with_suffix(".json")  # written after the folder, so a kill may have prevented it
    if beside.exists() and read_sealed(beside)["meta"] != digest_file(final / "meta.json"):
        raise InputError(f"{final / 'meta.json'}: its digest is not the one written in {beside.name}")
    if meta["fingerprint"] != fingerprint or digest_value(meta["identity"]) != fingerprint:
        raise InputError(f"{final / 'meta.json'}: it is not of this training")
    found = {name: digest for name, digest in file_digests(final).items() if name != "meta.json"}
    for name in sorted(found.keys() | meta["files"].keys()):
        if found.get(name) != meta["files"].get(name):
            raise InputError(f"{final / name}: its digest is not the one in meta.json")
