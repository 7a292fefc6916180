"""What the schema says beside its text: what it refers to, and where a run may have a list of values."""

from typing import Any

Schema = dict[str, Any]

# What a run is, and not how it is trained; what chooses its other settings (task, tuning) has one value as well.
ONE_VALUE = ("dataset", "folds")
SCALARS = {"integer", "number", "string", "boolean", "null"}


def dereference(entry: Schema, schema: Schema) -> Schema:
    """A part of the schema with its `$ref` laid under it."""
    if "$ref" not in entry:
        return entry
    return {**schema["$defs"][entry["$ref"].split("/")[-1]], **entry}


def holds(condition: Schema, section: dict[str, Any]) -> bool:
    """Whether a section meets the condition of a branch: it has some keys, each with its one value (`const`), or with
    an object."""
    return all(
        key in section and (section[key] == wanted["const"] if "const" in wanted else isinstance(section[key], dict))
        for key, wanted in condition["properties"].items()
    )


def with_lists(schema: Schema) -> Schema:
    """The schema that lets a run have a list wherever a setting of it is one value; each of the list is checked as
    that one value is."""
    definitions = schema["$defs"]
    return {**schema, "$defs": {**definitions, "run": _with_lists(definitions["run"], schema, may_vary(schema))}}


def may_vary(schema: Schema) -> set[str]:
    """The settings and sections of a run that may be, or have, a list of values."""
    run = schema["$defs"]["run"]
    branches = run.get("allOf", [])
    choosing = {key for branch in branches for key in branch["if"]["properties"]}
    return _keys(run).difference(choosing, ONE_VALUE)


def is_one_value(entry: Schema) -> bool:
    """Whether a setting has one value, and so may have a list of such in a run."""
    kinds = entry.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else {*kinds}
    return "enum" in entry or (bool(kinds) and kinds <= SCALARS)


def _keys(entry: Schema) -> set[str]:
    branches = [branch["then"] for branch in entry.get("allOf", [])]
    return {key for part in (entry, *branches) for key in part.get("properties", {})}


def _with_lists(entry: Schema, schema: Schema, some: set[str] | None = None) -> Schema:
    """A part of the schema that lets its settings, or `some` of them, be lists."""
    whole = {key: value for key, value in dereference(entry, schema).items() if key != "$ref"}
    if is_one_value(whole):
        several = {"type": "array", "minItems": 1, "uniqueItems": True, "items": entry}
        return {"if": {"type": "array"}, "then": several, "else": entry}
    if "properties" in whole:
        whole["properties"] = {
            key: value if some is not None and key not in some else _with_lists(value, schema)
            for key, value in whole["properties"].items()
        }
    if "allOf" in whole:
        whole["allOf"] = [{**branch, "then": _with_lists(branch["then"], schema, some)} for branch in whole["allOf"]]
    return whole
