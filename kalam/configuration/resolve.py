"""The configuration with every default filled in, checked against its schema and for sense."""

import copy
import math
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kalam.configuration.contradictions import contradictions
from kalam.configuration.datasets import settle
from kalam.configuration.schema import dereference, holds, with_lists
from kalam.configuration.tasks import TaskRow, tasks
from kalam.configuration.validation import GREATEST, faults
from kalam.configuration.variants import expand
from kalam.files.errors import InputError
from kalam.text.languages import TABLE, read_table

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

LONGEST = 200  # characters of a value that a message repeats


def load_schema(path: str | Path) -> dict[str, Any]:
    """The schema, a YAML file, with what the tables add: names of languages and tasks, and each task's settings.

    Raises InputError for a row that is none.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schema = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=loader)
    schema["$defs"]["project"]["properties"]["language"]["enum"] = _languages(schema)
    rows = tasks()
    model, run = (schema["$defs"][name] for name in ("model", "run"))
    made = [row for row in rows.values() if row.tokenizer]
    model["properties"]["task"] |= {"enum": [row.name for row in made], "default": made[0].name}
    run["properties"]["task"]["enum"] = list(rows)
    for section, some in ((model, made), (run, rows.values())):
        said = ", ".join(f"`{row.name}` {row.description}" for row in some)
        section["properties"]["task"]["description"] += f" {said[0].upper()}{said[1:]}."
    for row in rows.values():
        if row.settings:
            run["allOf"].append(_branch(row, {"task": {"const": row.name}}))
            trained = {"kind": {"const": "scratch"}, "task": {"const": row.name}, "training": {"type": "object"}}
            model["allOf"] += [_branch(row, trained)] if row.tokenizer else []
    return schema


def _languages(schema: dict[str, Any]) -> list[str]:
    """The codes in the table of languages, whose rows the schema describes."""
    table = read_table()
    found = faults(table, {"$defs": schema["$defs"], "$ref": "#/$defs/languages"})
    if error := min(found, key=lambda error: len(error.absolute_path), default=None):
        raise InputError(f"{TABLE}: {_explain(error)}")
    return list(table)


def _branch(row: TaskRow, when: dict[str, Any]) -> dict[str, Any]:
    """The settings of a task, in a section that bears its name, as a branch of a section of the schema."""
    section = {
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "description": "Settings of the task.",
        "properties": dict(row.settings),
    }
    return {"if": {"properties": when, "required": list(when)}, "then": {"properties": {row.name: section}}}


def resolve(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The configuration, complete: defaults filled in, the command line's flat keys applied, a section for each run.

    Raises InputError, in one line with the key's path, what was found and what is allowed.
    """
    config = copy.deepcopy(config)
    _fill(config, schema, schema)
    found = faults(config, with_lists(schema))
    if errors := [error for error in found if not _follows(error, found)]:
        error = min(errors, key=lambda e: len(e.absolute_path))
        raise InputError(f"config: {_explain(error)}")
    _apply_flat_keys(config, schema)
    for name, project in config["projects"].items():
        try:
            expand(project, schema)
        except InputError as error:
            raise InputError(f"config: projects.{name}.{error}") from None
    for check in (settle, contradictions):
        for name, project in config["projects"].items():
            for message in check(project):
                raise InputError(f"config: projects.{name}.{message}")
    return config


def _apply_flat_keys(config: dict[str, Any], schema: dict[str, Any]) -> None:
    """Put the keys of the command line where they belong, in place."""
    only = config.pop("project", None)
    if only is not None and only not in config["projects"]:
        raise InputError(f"config: project: found {only}; allowed are {', '.join(config['projects'])}")
    projects = [project for name, project in config["projects"].items() if only in (None, name)]
    given = {key: entry for key, entry in schema["properties"].items() if "sets" in entry and key in config}
    for key, entry in given.items():
        for other, instead in given.items():
            if instead.get("instead_of") == entry["sets"]:
                raise InputError(f"config: {key}: found {key} and {other}; allowed is one of them")
    if given.pop("strategy", None):
        _take_strategy(config.pop("strategy"), projects)
    for key, entry in given.items():
        value = config.pop(key)
        for project in projects:
            _set(project, entry["sets"].split("."), value)
            if "instead_of" in entry:
                _set(project, entry["instead_of"].split("."), None)


def _take_strategy(name: str, projects: list[dict[str, Any]]) -> None:
    """Set the strategy of every dataset that has some, in place; raise InputError where none has, and it would
    silently do nothing."""
    datasets = [dataset for project in projects for dataset in project["datasets"].values() if dataset["strategies"]]
    if not datasets:
        raise InputError(f"config: strategy: found {name}; allowed is none, as no dataset has strategies")
    for dataset in datasets:
        dataset["strategy"] = name


def applying(entry: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """A part of the schema and those of its conditional branches that hold for a value."""
    yield entry
    for branch in entry.get("allOf", []):
        if holds(branch["if"], value):
            yield branch["then"]


def _fill(value: Any, entry: dict[str, Any], schema: dict[str, Any]) -> None:
    """Set every missing key of `value` that has a default, and put settings in one order, in place.

    A default that is written out, or two settings that change places, must look the same to Snakemake.
    """
    entry = dereference(entry, schema)
    if not isinstance(value, dict):
        return
    if odd := [key for key in value if not isinstance(key, str)]:
        raise InputError(
            f"config: found the key {odd[0]!r}; allowed are words, in quotation marks where YAML reads another"
        )
    for part in applying(entry, value):
        properties = part.get("properties", {})
        for key, subentry in properties.items():
            default = dereference(subentry, schema)
            if "default" in default:
                value.setdefault(key, copy.deepcopy(default["default"]))
            _fill(value.get(key), subentry, schema)
        others = part.get("additionalProperties")
        if isinstance(others, dict):
            for key in value.keys() - properties.keys():
                _fill(value[key], others, schema)
    if not _by_name(entry):
        settings = sorted(value.items())
        value.clear()
        value.update(settings)


def _by_name(entry: dict[str, Any]) -> bool:
    """Whether the keys are names that users give, whose order counts: the first candidate wins a tie."""
    return "propertyNames" in entry


def _set(section: dict[str, Any], path: list[str], value: Any) -> None:
    head, *rest = path
    if not rest:
        settings = sorted({**section, head: value}.items())
        section.clear()
        section.update(settings)
        return
    for key in section.keys() if head == "*" else section.keys() & {head}:
        _set(section[key], rest, value)


ALLOWED = {
    "type": "a value of type {}",
    "enum": "one of {}",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least one entry",
    "minProperties": "at least one entry",
    "uniqueItems": "each entry once",
    "pattern": "text of the form {}",
}


def _explain(error: "ValidationError") -> str:
    path = ".".join(str(part) for part in error.absolute_path) or "the top level"
    found, allowed = error.instance, error.validator_value
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = _known(error)
        unknown = sorted(found.keys() - known)
        for key in unknown:
            if where := _where(error, key):
                return f"{path}: found {key}; allowed only where {where}"
        near = get_close_matches(unknown[0], known, 1)
        hint = f"; perhaps {near[0]} is meant by {unknown[0]}" if near else ""
        return f"{path}: unknown key {_list(unknown)}; allowed are {_list(known)}{hint}"
    if error.validator == "required":
        return f"{path}: missing key {_list(set(allowed) - found.keys())}"
    rule = ALLOWED.get(error.validator)
    new = f"; a new one is a row in {error.schema['table']}" if "table" in error.schema else ""
    said = f"{path}: found {_shown(found)}; allowed is {rule.format(_list(allowed)) if rule else error.message}{new}"
    return said + _hint(found, error)


def _shown(value: Any) -> str:
    """A value as it is, but for the middle of a long one and what a URL says before its host, as that is a secret."""
    if isinstance(value, int) and abs(value) > GREATEST:
        return f"a number of {len(str(abs(value)))} digits"
    shown = re.sub(r"//[^/@\s]*@", "//...@", repr(value))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]}...{shown[-LONGEST // 2 :]}"


def _hint(found: Any, error: "ValidationError") -> str:
    """What to write where YAML has taken a value for something else than was meant."""
    wanted = error.validator_value if error.validator == "type" else []
    wanted = {wanted} if isinstance(wanted, str) else {*wanted}
    if isinstance(found, bool) and error.validator in ("type", "enum"):
        return "; in YAML yes, no, on and off are true or false, but for quotation marks around them"
    if isinstance(found, str) and wanted & {"number", "integer"} and (number := _number(found)) is not None:
        return f"; YAML takes {found} for a word, so write {number}"
    return ""


def _number(word: str) -> str | None:
    """How YAML knows for a number what a word says; None of one that says none."""
    try:
        number = float(word)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if re.fullmatch(r"[-+]?\d+", word):
        return str(int(word))
    shown = repr(number)
    return shown if "." in shown else shown.replace("e", ".0e")


def _follows(error: "ValidationError", errors: "list[ValidationError]") -> bool:
    """Whether an error only repeats another: where a branch fails, none of its keys counts as evaluated;
    nor are there any where what chooses a branch is wrong."""
    if error.validator != "unevaluatedProperties":
        return False
    depth, place = len(error.absolute_path), list(error.absolute_path)
    beside = any(other is not error and list(other.absolute_path)[:depth] == place for other in errors)
    unknown = error.instance.keys() - _known(error)
    return beside and all(_where(error, key) for key in unknown)


def _known(error: "ValidationError") -> set[str]:
    return {key for part in applying(error.schema, error.instance) for key in part.get("properties", {})}


def _where(error: "ValidationError", key: str) -> str:
    """When a key that is not known here would be; empty where never."""
    branches = [branch for branch in error.schema.get("allOf", []) if key in branch["then"].get("properties", {})]
    conditions = [branch["if"]["properties"].items() for branch in branches]
    return " or ".join(
        ", ".join(f"{name} is {value.get('const', 'given')}" for name, value in condition) for condition in conditions
    )


def _list(values: Any) -> str:
    several = isinstance(values, Collection) and not isinstance(values, str)
    return ", ".join(sorted(str(value) for value in values)) if several else str(values)
