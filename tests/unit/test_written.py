"""What YAML reads otherwise than it was meant is refused with its line, or told with what to write."""

import re
from pathlib import Path

import pytest
import yaml

from kalam.configuration.resolve import load_schema, resolve
from kalam.configuration.written import require_well_written
from kalam.files.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = load_schema(ROOT / "config" / "schema.yaml")
CONFIG = """\
seed: 7
projects:
  case:
    language: bn
    datasets:
      text:
        cleaning: {min_characters: 10}
        sources:
          news: {kind: files, register: prose, paths: [a.jsonl]}
          site: {kind: site, register: prose, start: ["https://a.example/"]}
"""


def written(tmp_path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("utf-8"))
    return path


TWICE = {
    "a source": (
        CONFIG + "          news: {kind: files, register: verse, paths: [b.jsonl]}\n",
        "projects.case.datasets.text.sources: news stands there twice (lines 9 and 11); allowed is once",
    ),
    "a project": (CONFIG + "  case: {language: ta}\n", "projects: case stands there twice (lines 3 and 11)"),
    "at the top": (CONFIG + "seed: 8\n", "the top level: seed stands there twice (lines 1 and 11)"),
    "in braces": (
        CONFIG.replace("{min_characters: 10}", "{min_characters: 10, max_symbols: 1, min_characters: 20}"),
        "projects.case.datasets.text.cleaning: min_characters stands there twice (lines 7 and 7)",
    ),
    "in a list": (CONFIG + "  b: [{x: 1}, {y: 1, y: 2}]\n", "projects.b.1: y stands there twice (lines 11 and 11)"),
    "in quotation marks": (CONFIG + "'seed': 8\n", "the top level: seed stands there twice (lines 1 and 11)"),
    "equal values": (CONFIG + "seed: 7\n", "the top level: seed stands there twice"),
    "in JSON": ('{"projects": {"a": {}, "a": {}}}', "projects: a stands there twice (lines 1 and 1)"),
}


@pytest.mark.parametrize(("text", "message"), TWICE.values(), ids=TWICE)
def test_a_key_that_stands_twice_is_refused_with_its_file_and_lines(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as told:
        require_well_written([path])
    assert str(told.value).startswith(f"config: {message}") and str(told.value).endswith(f" ({path})")


def test_merge_keys_aliases_and_what_is_overridden_by_them_stay(tmp_path):
    text = "a: &a {x: 1, y: 2}\nb: &b {z: 3}\nc: {<<: *a, x: 4, <<: *b}\nd: [*a, *a]\ne: {<<: [*a, *b], y: 5}\n"
    require_well_written([written(tmp_path, text)])
    assert yaml.safe_load(text)["c"] == {"x": 4, "y": 2, "z": 3}


@pytest.mark.parametrize("path", [*ROOT.glob("config/*.yaml"), *ROOT.glob("config/full/*.yaml")], ids=lambda p: p.name)
def test_what_is_in_the_repository_is_well_written(path):
    require_well_written([path])


@pytest.mark.parametrize("text", ["", "# nothing", "a: [", "\xff"])
def test_what_is_no_yaml_or_nothing_is_for_others_to_say(tmp_path, text):
    require_well_written([written(tmp_path, text), tmp_path / "missing.yaml"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("010", 'line 7: found 010, which YAML takes for 8; allowed is 10, or "010" as a word'),
        ("-0_17", 'line 7: found -0_17, which YAML takes for -15; allowed is -17, or "-0_17" as a word'),
        ("2024-01-31", 'line 7: found 2024-01-31, which YAML takes for a date; allowed is "2024-01-31", in quotation'),
        ("1:30", 'line 7: found 1:30, which YAML takes for a number of base 60; allowed is "1:30"'),
    ],
)
def test_what_yaml_takes_for_another_number_or_a_date_is_refused(tmp_path, value, message):
    path = written(tmp_path, CONFIG.replace("10}", f"{value}}}"))
    with pytest.raises(InputError) as told:
        require_well_written([path])
    assert str(told.value).startswith(f"config: projects.case.datasets.text.cleaning.min_characters: {message}")
    require_well_written([written(tmp_path, CONFIG.replace("10}", f"'{value}'}}"))])


@pytest.mark.parametrize("value", ["0", "10", "0.5", "00x", "0x1F", "+7", "089", "1e3", "-0.0"])
def test_other_numbers_are_let_through(tmp_path, value):
    require_well_written([written(tmp_path, f"a: {value}\n")])


# --- what the schema says of values


def edited(old: str, new: str) -> dict:
    assert old in CONFIG
    return yaml.safe_load(CONFIG.replace(old, new))


WRONG = {
    "no as a language": (
        ("language: bn", "language: no"),
        "projects.case.language: found False; allowed is a value of type string",
        "; in YAML yes, no, on and off are true or false, but for quotation marks around them",
    ),
    "yes as a number": (
        ("min_characters: 10", "min_characters: yes"),
        "cleaning.min_characters: found True; allowed is a value of type integer",
        "; in YAML yes, no, on and off are true or false, but for quotation marks around them",
    ),
    "a number without a point": (
        ("10}", "10, max_symbols: 2e-1}"),
        "cleaning.max_symbols: found '2e-1'; allowed is a value of type number",
        "; YAML takes 2e-1 for a word, so write 0.2",
    ),
    "a small one": (
        ("10}", "10, max_symbols: 2e-5}"),
        "found '2e-5'; allowed is a value of type number",
        "; YAML takes 2e-5 for a word, so write 2.0e-05",
    ),
    "a number in quotation marks": (
        ("min_characters: 10", "min_characters: '10'"),
        "found '10'; allowed is a value of type integer",
        "; YAML takes 10 for a word, so write 10",
    ),
    "400 digits": (
        ("min_characters: 10", f"min_characters: {'9' * 400}"),
        "cleaning.min_characters: found a number of 400 digits; allowed is a value of type integer",
        "integer",
    ),
    "400 digits where any number goes": (
        ("10}", f"10, max_symbols: {'9' * 400}}}"),
        "cleaning.max_symbols: found a number of 400 digits; allowed is a value of type number",
        "number",
    ),
    "a seed of 2**70": (("seed: 7", f"seed: {2**70}"), "seed: found a number of 22 digits; allowed is a value", ""),
    "a seed of 2**32": (("seed: 7", f"seed: {2**32}"), "seed: found 4294967296; allowed is 4294967295 or less", ""),
    "a minimum above the maximum": (
        ("10}", "10, max_characters: 9}"),
        "cleaning.min_characters: found 10; allowed are up to max_characters, 9",
        "",
    ),
    "a line end in a header": (
        ("kind: site", 'user_agent: "a\\r\\nHost: b", kind: site'),
        "sources.site.user_agent: found 'a\\r\\nHost: b'; allowed is text of the form ^[ -~]+$",
        "",
    ),
    "a line end after a header": (
        ("kind: site", 'user_agent: "a\\n", kind: site'),
        "sources.site.user_agent: found 'a\\n'; allowed is text of the form ^[ -~]+$",
        "",
    ),
    "a name that ends in a line end": (
        ("  case:", '  "case\\n":'),
        "projects: found 'case\\n'; allowed is text of the form ^[a-z0-9]",
        "",
    ),
    "a source's name that does": (
        ("news:", '"news\\n":'),
        "sources: found 'news\\n'; allowed is text of the form ^[a-z0-9]",
        "",
    ),
    "a key with a letter wrong": (
        ("min_characters", "min_charcters"),
        "cleaning: unknown key min_charcters; allowed are duplicate_threshold, ",
        "; perhaps min_characters is meant by min_charcters",
    ),
    "a key like no other": (
        ("min_characters", "zzz"),
        "cleaning: unknown key zzz; allowed are ",
        "min_script_fraction",
    ),
}


@pytest.mark.parametrize(("edit", "message", "end"), WRONG.values(), ids=WRONG)
def test_it_is_said_what_to_write(edit, message, end):
    with pytest.raises(InputError, match=re.escape(message)) as told:
        resolve(edited(*edit), SCHEMA)
    assert str(told.value).endswith(end) and "\n" not in str(told.value) and len(str(told.value)) < 500


def test_the_configuration_that_these_are_edits_of_is_right():
    assert resolve(yaml.safe_load(CONFIG), SCHEMA)["seed"] == 7
