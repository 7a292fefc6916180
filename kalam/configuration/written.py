"""A configuration file as it was written: what YAML reads otherwise than it is meant, and then says nothing of."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from kalam.files.errors import InputError

MERGE = "tag:yaml.org,2002:merge"  # `<<`, of which each adds something
DATE = "tag:yaml.org,2002:timestamp"
INTEGER = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
OCTAL = re.compile(r"[-+]?0[0-7_]+")


def require_well_written(paths: Iterable[str | Path]) -> None:
    """Raise InputError for a key that stands twice in one section of a file, of which YAML would take the last one,
    and for dates and numbers that it would take for others. Only what can be read is looked at."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in paths:
        try:
            root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=loader)
        except (OSError, ValueError, yaml.YAMLError):  # Snakemake has read it, so it is JSON, or none of ours to say
            continue
        for fault in _faults(root, (), set()) if root else ():
            raise InputError(f"config: {fault} ({path})")


def _faults(node: yaml.Node, path: tuple[str, ...], seen: set[int]) -> Iterator[str]:
    if id(node) in seen:  # by an alias
        return
    if isinstance(node, yaml.ScalarNode):
        if said := _misread(node):
            yield f"{_name(path)}: line {_line(node)}: {said}"
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _faults(item, (*path, str(number)), seen)
    else:
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name = (key.tag, str(key.value))
            if key.tag != MERGE and name in lines:
                both = f"lines {lines[name]} and {_line(key)}"
                yield f"{_name(path)}: {key.value} stands there twice ({both}); allowed is once"
            lines.setdefault(name, _line(key))
            yield from _faults(key, path, seen)
            yield from _faults(value, (*path, str(key.value)), seen)


def _misread(node: yaml.ScalarNode) -> str | None:
    if node.style:  # in quotation marks, so it is a word
        return None
    if node.tag == DATE:
        return f'found {node.value}, which YAML takes for a date; allowed is "{node.value}", in quotation marks'
    if node.tag == INTEGER and OCTAL.fullmatch(node.value):
        plain = node.value.replace("_", "")
        meant = ("-" if plain[0] == "-" else "") + (plain.lstrip("+-").lstrip("0") or "0")
        return (
            f'found {node.value}, which YAML takes for {int(plain, 8)}; allowed is {meant}, or "{node.value}" as a word'
        )
    if node.tag in (INTEGER, FLOAT) and ":" in node.value:
        return f'found {node.value}, which YAML takes for a number of base 60; allowed is "{node.value}"'
    return None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the top level"
