"""The upload of exports to a hub, only when asked for."""

import logging
from collections.abc import Sequence
from pathlib import Path

from kalam.files.errors import InputError
from kalam.files.jsonl import write_json

logger = logging.getLogger(__name__)


def upload(repository: str | None, folder: str | Path, files: Sequence[str | Path], target: str | Path) -> None:
    """Send a merged model's folder and GGUF files to a hub's repository, which is made, private, where there is none.

    The login is the hub's own (`hf auth login`). Leaves repository and commit in `target`. Raises
    InputError without a repository, and where the hub refuses.
    """
    if not repository:
        raise InputError("exports.repository: found none; allowed is a name on the hub, as owner/name")
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    api = HfApi()
    contents = {path.name: path for path in sorted(Path(folder).iterdir()) if path.name != "meta.json"}
    contents |= {Path(file).name: Path(file) for file in files}
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        operations = [CommitOperationAdd(name, str(path)) for name, path in contents.items()]
        commit = api.create_commit(repository, operations, commit_message="Export")
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise InputError(f"{repository}: the hub refused: {str(error).strip().splitlines()[0]}") from None
    write_json(target, {"repository": repository, "commit": commit.oid, "files": sorted(contents)})
    logger.info("%d files are in %s", len(contents), repository)
