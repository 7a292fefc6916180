"""The columns that the fields of a row are taken from, and what may stand in them."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from kalam.files.errors import InputError

Rows = Iterator[tuple[int, dict[str, Any]]]
Check = Callable[[Any], Any]


def require_columns(required: Collection[str], rows: Iterable[Iterable[str]], place: str | Path) -> None:
    """Look at the names of one row after the other until each of the `required` ones was there.

    Raises InputError, naming the columns that are there, where there are rows and one of them never is.
    """
    missing, there, any_row = set(required), {}, False
    for names in rows if missing else ():
        any_row = True
        there |= dict.fromkeys(names)
        missing -= there.keys()
        if not missing:
            return
    if any_row:
        wanted = ", ".join(name for name in required if name in missing)
        raise InputError(f"{place}: found no column {wanted}; those there are {', '.join(there) or 'none'}")


def take(
    row: Mapping[str, Any], columns: Mapping[str, str], checks: Mapping[str, Check], file: str, number: int
) -> dict[str, Any]:
    """The fields of a row, each from its column, as its check gives it back.

    Raises InputError naming the file, the number of the row and the column that a check refuses.
    """
    taken = {}
    for field, column in columns.items():
        try:
            taken[field] = checks[field](row.get(column))
        except InputError as error:
            raise InputError(f"{file}:{number}: column {column}: {error}") from None
    return taken


def group_of(value: Any) -> str | None:
    """The name of a group: a string or a whole number, so that 7, 7.0 and "7" are one; None where there is none.

    Raises InputError naming any other type.
    """
    if isinstance(value, str):
        if not is_unicode(value):
            raise InputError("found half a surrogate pair; allowed is Unicode")
        return value.strip() or None
    number = _number(value)
    if value is not None and not isinstance(number, int):
        raise InputError(f"found {type(value).__name__}; allowed is a string or a whole number")
    return None if value is None else str(number)


def label_of(value: Any) -> str | None:
    """A word about a row, such as its title or its year: a string, a number or a date; None where there is none,
    or no Unicode. Raises InputError naming any other type.
    """
    if isinstance(value, str):
        return (value.strip() or None) if is_unicode(value) else None
    if isinstance(value, date):
        return value.isoformat()
    number = _number(value)
    if value is not None and number is None:
        raise InputError(f"found {type(value).__name__}; allowed is a string, a number or a date")
    return None if value is None else str(number)


def finite(value: Any) -> Any:
    """A value in which NaN and the infinities are None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list) else value


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which no file in UTF-8 can hold."""
    return text.isprintable() or not any("\ud800" <= character <= "\udfff" for character in text)


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value
