"""One section that makes several runs: by a list where a setting has one value, by folds, or by both."""

import copy
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

from kalam.configuration.schema import Schema, dereference, is_one_value, may_vary
from kalam.files.errors import InputError

Keys = tuple[str, ...]
SMALL = Decimal("0.01")  # numbers below are named with an exponent


def expand(project: dict[str, Any], schema: Schema) -> None:
    """Put each run that a section makes in its place, in place.

    A list makes a run for each value, `adapt.rank8`, several lists for each choice of values, in the order of the
    schema; `folds` makes of each run one for each fold, `grade.fold1`, with `fold` in place of it: the name that the
    folds have in common (`run`), the `number` from 1, and how many there are (`of`).
    Raises InputError where two get one name.
    """
    runs: dict[str, Any] = {}
    for name, section in project["runs"].items():
        for variant, settings in _variants(name, section, schema):
            for run, values in _folds(variant, settings):
                if run in runs:
                    raise InputError(f"runs.{name}: found two values that make a run {run}; allowed are other values")
                runs[run] = values
    project["runs"] = runs


def value_name(key: str, value: Any) -> str:
    """What a value adds to the name of a run: `rank8`, `learning_rate1e-4`, `schedule-cosine`, `dora-true`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{key}{_number(Decimal(repr(value)).normalize())}"
    text = {True: "true", False: "false", None: "none"}.get(value, value)
    return f"{key}-{re.sub('[^A-Za-z0-9_.+-]+', '-', text)}"


def _number(value: Decimal) -> str:
    if value == 0 or abs(value) >= SMALL:
        return f"{value:f}"
    _, digits, exponent = value.as_tuple()
    power = len(digits) - 1 + exponent
    return f"{value.scaleb(-power):f}e{power}"


def _variants(name: str, section: dict[str, Any], schema: Schema) -> Iterator[tuple[str, dict[str, Any]]]:
    given = {key: value for key, value in section.items() if key in may_vary(schema)}
    lists = list(_lists(given, schema["$defs"]["run"], schema))
    for values in product(*(values for _, values in lists)):
        variant = copy.deepcopy(section)
        for (path, _), value in zip(lists, values, strict=True):
            _put(variant, path, value)
        added = [value_name(path[-1], value) for (path, _), value in zip(lists, values, strict=True)]
        yield ".".join([name, *added]), variant


def _lists(section: dict[str, Any], entry: Schema, schema: Schema, path: Keys = ()) -> Iterator[tuple[Keys, list[Any]]]:
    """The settings that have a list where the schema has one value, in the order of the schema."""
    whole = dereference(entry, schema)
    for part in (whole, *(branch["then"] for branch in whole.get("allOf", []))):
        for key, subentry in part.get("properties", {}).items():
            value = section.get(key)
            if isinstance(value, dict):
                yield from _lists(value, subentry, schema, (*path, key))
            elif isinstance(value, list) and is_one_value(dereference(subentry, schema)):
                yield (*path, key), value


def _put(section: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *way, last = path
    for key in way:
        section = section[key]
    section[last] = value


def _folds(name: str, section: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    settings = {key: value for key, value in section.items() if key != "folds"}
    if "folds" not in section:
        yield name, settings
        return
    for number in range(1, section["folds"] + 1):
        fold = {"run": name, "number": number, "of": section["folds"]}
        yield f"{name}.fold{number}", copy.deepcopy(settings) | {"fold": fold}
