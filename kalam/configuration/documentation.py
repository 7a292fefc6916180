"""The documentation of every setting, made from the schema alone.

python -m kalam.configuration.documentation config/schema.yaml > config/README.md
"""

import sys
from collections.abc import Iterator
from typing import Any

import yaml

from kalam.configuration.resolve import load_schema
from kalam.configuration.schema import dereference


def page(schema: dict[str, Any]) -> str:
    """Every setting with type, default and meaning, as Markdown."""
    lines = [f"# {schema['title']}", "", " ".join(schema["description"].split()), ""]
    lines += ["This page is made from `schema.yaml`; `make config/README.md` makes it anew."]
    sections = {"The top level": schema} | {
        name.capitalize(): entry for name, entry in schema["$defs"].items() if "properties" in entry
    }
    for title, entry in sections.items():
        lines += ["", f"## {title}", "", "| key | value | default | meaning |", "| --- | --- | --- | --- |"]
        lines += _rows(entry, schema)
    return "\n".join(lines) + "\n"


def _rows(section: dict[str, Any], schema: dict[str, Any], prefix: str = "", when: str = "") -> Iterator[str]:
    for key, entry in section.get("properties", {}).items():
        whole = dereference(entry, schema)
        nested = entry if "properties" in entry else {}
        default = _default(key, whole, section)
        meaning = " ".join(whole.get("description", "").split())
        yield f"| `{prefix}{key}` | {_value(entry, whole)} | {default} | {when}{meaning} |"
        yield from _rows(nested, schema, f"{prefix}{key}.", when)
    for branch in section.get("allOf", []):
        names = ", ".join(f"`{value.get('const', key)}`" for key, value in branch["if"]["properties"].items())
        yield from _rows(branch["then"], schema, prefix, f"{names}: ")


def _value(entry: dict[str, Any], whole: dict[str, Any]) -> str:
    if "table" in whole:
        return f"a row of `{whole['table']}`"
    if "enum" in whole:
        return ", ".join(f"`{value}`" for value in whole["enum"])
    if "$ref" in entry and "properties" in whole:
        return f"[section](#{entry['$ref'].split('/')[-1]})"
    if isinstance(whole.get("additionalProperties"), dict) and "$ref" in whole["additionalProperties"]:
        return f"[sections](#{whole['additionalProperties']['$ref'].split('/')[-1]}) by name"
    kinds = whole.get("type", "")
    return " or ".join(kinds) if isinstance(kinds, list) else kinds


def _default(key: str, whole: dict[str, Any], section: dict[str, Any]) -> str:
    if key in section.get("required", []):
        return "required"
    if "default" not in whole or whole["default"] == {}:
        return ""
    return "`" + yaml.safe_dump(whole["default"], default_flow_style=True).splitlines()[0] + "`"


if __name__ == "__main__":
    sys.stdout.write(page(load_schema(sys.argv[1])))
