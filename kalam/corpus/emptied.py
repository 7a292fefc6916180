"""A source of which nothing is left, told at the step that emptied it, with its dropped rows put where they stay."""

from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from typing import Any

from kalam.files.atomic import replacement
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.text.languages import TABLE, language_row


def dropped_beside(log: str | Path) -> Path:
    """Where the dropped rows of a rule are put that fails: its outputs are removed, its log is not."""
    return Path(log).with_suffix(".dropped.jsonl")


def require_some_left(
    source: str | Path, figures: Mapping[str, Any], dropped: str | Path, aside: str | Path, language: str | None = None
) -> None:
    """Raise InputError where a filter kept no row, with the count of each reason; `dropped` is then copied `aside`.

    Where most rows are in another script than that of the `language`, it says so, as its row may be what is wrong.
    """
    if figures["kept"]:
        return
    put_aside(dropped, aside)
    reasons = sorted(figures["dropped"].items(), key=lambda each: (-each[1], each[0]))
    counts = ", ".join(f"{reason} {number}" for reason, number in reasons) or "none, it is empty"
    hint = _wrong_script(language, dropped) if language and reasons and reasons[0][0] == "other_script" else ""
    raise InputError(f"{source}: nothing is left of {figures['read']} rows; dropped: {counts} (see {aside}){hint}")


def put_aside(dropped: str | Path, aside: str | Path) -> str | Path:
    """Copy dropped rows to where they stay; gives that place."""
    with replacement(aside) as copy:
        copyfile(dropped, copy)
    return aside


def _wrong_script(language: str, dropped: str | Path) -> str:
    most = max(row["found"] for row in read_jsonl(dropped) if row["reason"] == "other_script")
    script = language_row(language).script
    return (
        f"; at most {most:.0%} of the letters of any are {script}, the script of language {language}: "
        f"is that the language, and are the ranges of its row in {TABLE} right?"
    )
