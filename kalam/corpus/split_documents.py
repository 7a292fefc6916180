"""The splits of a dataset of documents, and how much text each source gives to them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kalam.corpus.statistics import write_statistics
from kalam.data.split import split_files


def split_documents(outputs: Mapping[str, str | Path], statistics: str | Path, **given: Any) -> None:
    """Write the splits to `outputs` as `split_files` does, which takes the rest, and their `statistics`."""
    split_files(outputs=outputs, **given)
    write_statistics(outputs, statistics)
