"""The table of tasks, `config/tasks.yaml`: the one place that lists them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kalam.files.code import ROOT
from kalam.files.errors import InputError

BEST = "best"
TABLE = ROOT / "config" / "tasks.yaml"


@dataclass(frozen=True)
class TaskRow:
    """A row; the head of the table says what each column means."""

    name: str
    description: str
    head: str
    rows: str
    begins_with: tuple[str, ...]
    page: str
    tokenizer: str | None = None
    candidates: bool = False
    exports: bool = False
    measure: str | None = None
    alike: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The module that says how rows become examples, and what a model of the task learns from them."""
        return f"kalam.tasks.{self.name}"


@cache
def tasks(path: Path = TABLE) -> dict[str, TaskRow]:
    """The rows by name. Raises InputError naming a column that is missing or unknown."""
    columns = {column.name for column in fields(TaskRow)} - {"name"}
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    found = {}
    for name, row in table.items() if isinstance(table, dict) else [(str(table), None)]:
        if not isinstance(row, dict):
            raise InputError(f"{path}: {name}: found no row; wanted are {_list(columns)}")
        if unknown := sorted(row.keys() - columns):
            raise InputError(f"{path}: {name}: unknown column {_list(unknown)}; allowed are {_list(columns)}")
        if taken := sorted({"name", "head"} & {*(row.get("settings") or {})}):
            raise InputError(f"{path}: {name}.settings: found {_list(taken)}; allowed is any other name")
        try:
            lists = {column: tuple(row[column]) for column in ("begins_with", "alike") if column in row}
            found[name] = TaskRow(**{"name": name, **row, **lists})
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: {name}: {error}; wanted are {_list(columns)}") from None
    return found


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
