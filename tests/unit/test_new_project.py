"""The configuration that `make new` writes: allowed as it stands, for every language, and nothing is overwritten."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kalam.configuration.new_project import write_new_project
from kalam.configuration.resolve import load_schema, resolve
from kalam.files.errors import InputError
from kalam.text.languages import ROOT, languages

SCHEMA = load_schema(ROOT / "config/schema.yaml")
COMMENTED_OUT = re.compile(r"^( +)# ((?:  )?[a-z]+:.*)$", re.MULTILINE)


@pytest.mark.parametrize("language", sorted(languages()))
def test_it_is_allowed_and_says_where_texts_go(tmp_path, language):
    path = write_new_project("my-own", language, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "my-own.yaml"
    assert f"# Project my-own, in {languages()[language].name}. " in text
    project = resolve(yaml.safe_load(text), SCHEMA)["projects"]["my-own"]
    assert project["language"] == language
    sources = project["datasets"]["text"]["sources"]
    assert [source["paths"] for source in sources.values()] == [["data/my-own/target/*"], ["data/my-own/general/*"]]
    assert (project["models"]["small"]["parts"], project["runs"]["adapt"]["parts"]) == (["general"], ["target"])


def test_what_is_commented_out_is_allowed_too(tmp_path):
    text = write_new_project("mine", "ml", tmp_path).read_text(encoding="utf-8")
    more, lines = COMMENTED_OUT.subn(r"\1\2", text)
    assert lines == 15
    project = resolve(yaml.safe_load(more), SCHEMA)["projects"]["mine"]
    assert [*project["datasets"]["text"]["sources"]] == ["target", "general", "news", "web"]
    assert [*project["models"]] == ["small", "qwen", "more"]


@pytest.mark.parametrize(
    ("name", "language", "message"),
    [
        ("Mine", "ml", "name: found 'Mine'; allowed is text of the form ^[a-z0-9]"),
        ("../mine", "ml", "name: found '../mine'; allowed is text of the form"),
        ("", "ml", "name: found ''; allowed is text of the form"),
        ("bangla", "bn", "name: found bangla, a project of config/config.yaml; allowed is any other name"),
        ("there", "ml", "name: found there, and config/there.yaml is there; allowed is any other name"),
        ("mine", "xx", "language: found xx; allowed are "),
    ],
)
def test_what_is_refused_is_said_in_one_line_and_nothing_is_written(tmp_path, name, language, message):
    (tmp_path / "there.yaml").write_text("mine\n")
    with pytest.raises(InputError, match="^" + re.escape(message)) as error:
        write_new_project(name, language, tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["there.yaml"]
    assert (tmp_path / "there.yaml").read_text() == "mine\n"


def test_the_command_says_the_same_and_fails():
    command = [sys.executable, "-m", "kalam.configuration.new_project", "config", "ml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "name: found config, and config/config.yaml is there; allowed is any other name\n"
    assert Path(ROOT, "config/config.yaml").stat().st_size > 1000
