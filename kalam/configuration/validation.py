"""What jsonschema says of a value, which takes so long that what it found right is not asked about again."""

import math
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from kalam.files.cache import recall, remember
from kalam.files.code import digest_code

if TYPE_CHECKING:
    from jsonschema import Validator
    from jsonschema.exceptions import ValidationError

GREATEST = 2**53  # beyond it a number is not the same wherever it is read


def faults(value: Any, schema: dict[str, Any]) -> "list[ValidationError]":
    """All that a value has which the schema does not allow."""
    key = repr([_rules(), schema, value])  # JSON would not tell 1 from "1" as a key
    found = [] if recall("valid", key) else list(validator(schema).iter_errors(value))
    if not found:
        remember("valid", key, True)
    return found


def validator(schema: dict[str, Any]) -> "Validator":
    """The validator of a schema: JSON Schema takes 2.0 for an integer, and YAML knows .nan and .inf; none of these is
    meant here. JSON Schema's `$` is the end; Python's stands before a last newline as well."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    types = {"integer": lambda _, value: _is_integer(value), "number": lambda _, value: _is_number(value)}
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(types)
    return extend(Draft202012Validator, {"pattern": _whole_pattern}, type_checker=checker)(schema)


def _is_number(value: Any) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= GREATEST


def _whole_pattern(_, pattern: str, value: Any, __) -> "Iterator[ValidationError]":
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} is not of the form {pattern}")


@cache
def _rules() -> str:
    """What a verdict follows from beside schema and value."""
    return f"{version('jsonschema')} {digest_code(__file__)}"
