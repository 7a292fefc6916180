"""The schema: every setting explained and its default allowed, and every place that repeats it the same."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from kalam.configuration.documentation import page
from kalam.configuration.resolve import dereference, load_schema, resolve
from kalam.training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = load_schema(ROOT / "config" / "schema.yaml")


def settings(section: dict, name: str = "") -> Iterator[tuple[str, dict]]:
    """Every setting of the schema with its `$ref` laid under it, by path."""
    for key, entry in section.get("properties", {}).items():
        yield f"{name}.{key}", dereference(entry, SCHEMA)
        yield from settings(entry, f"{name}.{key}")
    for branch in section.get("allOf", []):
        yield from settings(branch["then"], name)


SETTINGS = [*settings(SCHEMA), *(pair for name, part in SCHEMA["$defs"].items() for pair in settings(part, name))]


def test_the_schema_is_one_and_every_setting_has_its_meaning():
    Draft202012Validator.check_schema(SCHEMA)
    assert len(SETTINGS) > 80
    assert not [name for name, entry in SETTINGS if not entry.get("description", "").strip().endswith(".")]


def test_every_default_is_allowed():
    defaults = [(name, entry) for name, entry in SETTINGS if "default" in entry]
    assert len(defaults) > 50
    for name, entry in defaults:
        assert Draft202012Validator({**entry, "$defs": SCHEMA["$defs"]}).is_valid(entry["default"]), name


def test_the_page_is_the_schema_s_and_names_every_setting():
    text = page(SCHEMA)
    assert (ROOT / "config" / "README.md").read_text(encoding="utf-8") == text  # else: make config/README.md
    for name, entry in SETTINGS:
        rows = [
            line
            for line in text.splitlines()
            if line.startswith("| `") and " ".join(entry["description"].split()) in line
        ]
        assert any(f"{name.split('.')[-1]}` |" in row for row in rows), name
    assert all(line.count(" | ") == 3 for line in text.splitlines() if line.startswith("| `"))


def test_the_recipe_is_the_training_section():
    properties = SCHEMA["$defs"]["training"]["properties"]
    fields = {field.name: field for field in dataclasses.fields(Recipe) if field.name != "seed"}
    assert fields.keys() == properties.keys()
    for name, field in fields.items():
        default = dereference(properties[name], SCHEMA).get("default", dataclasses.MISSING)
        assert field.default == default, name
    projects = resolve(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()), SCHEMA)["projects"]
    training = projects["bangla"]["runs"]["adapt"]["training"]
    assert dataclasses.asdict(Recipe.of(training, 20)) == training | {"seed": 20}


def pins(lines) -> dict[str, str]:
    return dict(re.fullmatch(r"([\w.-]+)==(\S+)", line.strip()).groups() for line in lines if "==" in line)


def test_every_place_pins_the_same_versions():
    required, constrained = (
        pins((ROOT / name).read_text().splitlines()) for name in ("requirements.txt", "constraints.txt")
    )
    assert len(required) > 15
    together = {}
    for path in (ROOT / "envs").glob("*.yaml"):
        *conda, pip = yaml.safe_load(path.read_text())["dependencies"]
        assert conda == ["python=3.11", "pip"]
        together |= pins(pip["pip"])
        assert pins(pip["pip"]).items() <= required.items(), path.name
    assert together == {name: version for name, version in required.items() if name != "snakemake"}
    assert {name: constrained[name] for name in required.keys() & constrained}.items() <= required.items()


def test_what_the_clouds_need_differs_where_it_says_so():
    clouds, constrained = (
        pins((ROOT / name).read_text().splitlines()) for name in ("requirements-cloud.txt", "constraints.txt")
    )
    assert {name for name in clouds.keys() & constrained if clouds[name] != constrained[name]} == {
        "protobuf",
        "python-dateutil",
    }
