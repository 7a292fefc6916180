"""The configuration with every default filled in, checked against its schema and for sense."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from kalam.configuration.sense import contradictions
from kalam.files.errors import InputError


def load_schema(path: str | Path) -> dict[str, Any]:
    """The schema, a YAML file."""
    return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def resolve(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The configuration, complete: defaults filled in, the command line's flat keys applied.

    Raises InputError, in one line with the key's path, what was found and what is allowed.
    """
    config = copy.deepcopy(config)
    _fill(config, schema, schema)
    error = best_match(Draft202012Validator(schema).iter_errors(config), key=lambda e: -len(e.absolute_path))
    if error:
        raise InputError(f"config: {_explain(error)}")
    for key, entry in schema["properties"].items():
        if "sets" in entry and key in config:
            value = config.pop(key)
            for project in config["projects"].values():
                _set(project, entry["sets"].split("."), value)
    for name, project in config["projects"].items():
        for message in contradictions(project):
            raise InputError(f"config: projects.{name}.{message}")
    return config


def dereference(entry: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema with its `$ref` laid under it."""
    if "$ref" not in entry:
        return entry
    return {**schema["$defs"][entry["$ref"].split("/")[-1]], **entry}


def applying(entry: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """A part of the schema and those of its conditional branches that hold for a value."""
    yield entry
    for branch in entry.get("allOf", []):
        if Draft202012Validator(branch["if"]).is_valid(value):
            yield branch["then"]


def _fill(value: Any, entry: dict[str, Any], schema: dict[str, Any]) -> None:
    """Set every missing key of `value` that has a default, in place."""
    entry = dereference(entry, schema)
    if not isinstance(value, dict):
        return
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


def _set(section: dict[str, Any], path: list[str], value: Any) -> None:
    head, *rest = path
    if not rest:
        section[head] = value
        return
    for key in list(section) if head == "*" else [head]:
        _set(section[key], rest, value)


def _explain(error: ValidationError) -> str:
    path = ".".join(str(part) for part in error.absolute_path) or "the top level"
    found, allowed = error.instance, error.validator_value
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = [key for part in applying(error.schema, found) for key in part.get("properties", {})]
        return f"{path}: unknown key {_list(found.keys() - set(known))}; allowed are {_list(known)}"
    if error.validator == "required":
        return f"{path}: missing key {_list(set(allowed) - found.keys())}"
    allowed = {
        "type": f"a value of type {_list(allowed)}",
        "enum": f"one of {_list(allowed)}",
        "minimum": f"{allowed} or more",
        "maximum": f"{allowed} or less",
        "exclusiveMinimum": f"more than {allowed}",
        "exclusiveMaximum": f"less than {allowed}",
        "minItems": "at least one entry",
        "minProperties": "at least one entry",
        "pattern": f"text of the form {allowed}",
    }.get(error.validator, error.message)
    return f"{path}: found {found!r}; allowed is {allowed}"


def _list(values: Any) -> str:
    return values if isinstance(values, str) else ", ".join(sorted(str(value) for value in values))
