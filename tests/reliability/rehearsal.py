"""Trains again and again, each time killed at another moment and run again; prints what came of it.

python rehearsal.py PROJECT FOLDER SCENARIOS

PROJECT is a finished workflow, whose model `llama` is made again in FOLDER. SCENARIOS is JSON: a list
of {at, damage} (kill at this change of a file, see interrupt.install; do the damage; run to the end)
or {space} (no file can grow beyond so many bytes; then it can, and run to the end), or a number n
for a kill at every n-th change. The first line printed is about a training without a kill, then
there is a line of JSON per scenario. All fork from one process that has loaded torch.
"""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "interruption"))

import interrupt

CHANGES = ("replace", "fsync", "unlink", "mkdir")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def newest(folder: Path, suffix: str) -> Path:
    return max(folder.glob(f"step-*{suffix}"))


def empty_every_state(folder: Path) -> None:
    for path in folder.glob("step-*.json"):
        path.write_bytes(b"")


def cut_history(folder: Path) -> None:
    with open(folder / "history.jsonl", "a", encoding="utf-8") as handle:
        handle.write('{"step": 9, "lo')


def leave_temporary(folder: Path) -> None:
    (folder / ".step-00000099.safetensors.tmp").write_bytes(b"half")
    (folder / ".final.tmp").mkdir(exist_ok=True)
    (folder / ".final.tmp/model.safetensors").write_bytes(b"half")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "none": lambda folder: None,
    "weights truncated": lambda folder: truncate(newest(folder, ".safetensors")),
    "weights with a bit flipped": lambda folder: flip_a_bit(newest(folder, ".safetensors")),
    "weights missing": lambda folder: newest(folder, ".safetensors").unlink(),
    "weights empty": lambda folder: os.truncate(newest(folder, ".safetensors"), 0),
    "state truncated": lambda folder: truncate(newest(folder, ".json")),
    "every state empty": empty_every_state,
    "history cut": cut_history,
    "temporary files left": leave_temporary,
}


def train(project: Path, folder: Path) -> None:
    """Make `llama` as the rule pretrain does."""
    from kalam.training.pretrain import pretrain

    results = project / "results/bangla/models/llama"
    identity = json.loads((results / "meta.json").read_text(encoding="utf-8"))["identity"]
    recipe = identity["recipe"] | {"save_every": 4, "micro_batch": 2, "gradient_checkpointing": False}
    pretrain(
        tokens={split: str(results / f"tokens/{split}.safetensors") for split in ("train", "validation")},
        tokenizer=results / "tokenizer",
        task=identity["task"],
        architecture=identity["architecture"],
        recipe=recipe,
        seed=identity["seed"],
        code=identity["code"],
        checkpoints=folder / "checkpoints",
        results=folder / "results",
    )


def attempt(project: Path, folder: Path, at: str = "", calls=(), space: int = -1) -> dict[str, Any]:
    """Train in a forked child, killed or not; its steps and its log are left in files."""
    steps, log = folder / "steps", folder / "log"
    steps.write_text("")
    child = os.fork()
    if child == 0:
        try:
            count_steps(steps)
            logging.basicConfig(filename=log, filemode="w", level=logging.INFO, format="%(message)s", force=True)
            interrupt.install(interrupt.job, at, str(folder), calls)
            resource.setrlimit(resource.RLIMIT_FSIZE, (space, -1))
            train(project, folder)
            os._exit(0)
        except BaseException:
            logging.exception("the training failed")
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"status": status, "steps": len(steps.read_text()), "log": log.read_text(encoding="utf-8")}


def count_steps(file: Path) -> None:
    from kalam.training import loop

    step = loop.optimiser_step

    def counted(*arguments):
        with open(file, "a") as handle:
            handle.write(".")
        return step(*arguments)

    loop.optimiser_step = counted


def rehearse(
    project: Path, folder: Path, at: str = "", damage: str = "none", calls=("replace",), space: int = -1
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    first = attempt(project, folder, at, calls, space)
    for trained in (folder / "checkpoints").glob("*"):
        DAMAGES[damage](trained)
    second = attempt(project, folder)
    return {
        "killed": first["status"] == -signal.SIGKILL,
        "finished": [first["status"] == 0, second["status"] == 0],
        "steps": [first["steps"], second["steps"]],
        "logs": [first["log"], second["log"]],
        **left(folder),
    }


def left(folder: Path) -> dict[str, Any]:
    """The digests of the results, and the names in the checkpoints."""
    (trained,) = (folder / "checkpoints").iterdir()
    files = {path.name: sha256(path.read_bytes()).hexdigest() for path in (folder / "results").iterdir()}
    return {"files": files, "left": sorted(path.name for path in trained.iterdir())}


if __name__ == "__main__":
    source, target, scenarios = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    (target / "whole").mkdir(parents=True)
    changes = interrupt.install(lambda: None, "", str(target), CHANGES)
    train(source, target / "whole")
    print(json.dumps({**left(target / "whole"), "changes": changes()}))
    if isinstance(scenarios, int):
        scenarios = [{"at": str(at), "calls": CHANGES} for at in range(1, changes() + 1, scenarios)]
    for number, scenario in enumerate(scenarios):
        print(json.dumps(rehearse(source, target / str(number), **scenario)), flush=True)
