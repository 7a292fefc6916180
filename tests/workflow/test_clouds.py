"""The profiles of the clouds: dry-run with their plugins, against pretended buckets that hold the texts."""

import json
import os
import site
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen

import pytest
from pipeline import ROOT, Outcome, Project
from scripted_server import Answer, scripted
from waiting import until

pytestmark = pytest.mark.slow

MOTO = ("moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
NAMES = {"BUCKET": "texts", "PROJECT": "kalam", "REGISTRY": "registry.example", "ACCOUNT": "123456789012"}
NAMES["REGION"] = "eu-central-1"
PREFIX = "kalam/"


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A Python that has what this one has, and the clouds' plugins."""
    folder = tmp_path_factory.mktemp("clouds") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    where = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    packages = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "beneath.pth").write_text("\n".join(site.getsitepackages()))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    one = ["download", "--quiet", "--no-deps", "--dest", folder.parent, MOTO[0]]
    if subprocess.run([*pip, *one], capture_output=True).returncode:
        pytest.skip("no package registry to install the clouds' plugins from")
    install = [*pip, "install", "--quiet", "-r", ROOT / "requirements-cloud.txt", *MOTO]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


@contextmanager
def s3(python: Path, project: Project) -> Iterator[dict[str, str]]:
    """Amazon's buckets, by moto."""
    with open(project / "moto.out", "w+", encoding="utf-8") as said:
        server = subprocess.Popen([python, "-m", "moto.server", "--port", "0"], stdout=said, stderr=said)
        try:
            until(lambda: "Running on http" in (project / "moto.out").read_text(), "moto")
            address = (project / "moto.out").read_text().split("Running on ")[1].split()[0]
            for path in (NAMES["BUCKET"], *(f"{NAMES['BUCKET']}/{key}" for key in keys(project))):
                with urlopen(Request(f"{address}/{path}", data=b"", method="PUT")):
                    pass
            yield {
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "any",
                "AWS_SECRET_ACCESS_KEY": "any",
                "AWS_DEFAULT_REGION": NAMES["REGION"],
            }
        finally:
            server.kill()
            server.wait()


@contextmanager
def gcs(python: Path, project: Project) -> Iterator[dict[str, str]]:
    """Google's buckets, as much of them as a dry run asks for: a bucket, an object, a list of objects."""
    bucket, there = f"/storage/v1/b/{NAMES['BUCKET']}", keys(project)

    def entry(key: str) -> dict[str, str]:
        return {"name": key, "updated": "2026-01-01T00:00:00.000Z", "size": "1"}

    def answer(address: str) -> Answer:
        url = urlsplit(address)
        prefix = parse_qs(url.query).get("prefix", [""])[0]
        key = unquote(url.path.removeprefix(f"{bucket}/o/"))
        if url.path == bucket:
            found = {"name": NAMES["BUCKET"]}
        elif url.path == f"{bucket}/o":
            found = {"items": [entry(key) for key in there if key.startswith(prefix)]}
        elif key in there:
            found = entry(key)
        else:
            return Answer('{"error": {"code": 404}}', status=404, type="application/json")
        return Answer(json.dumps(found), type="application/json")

    with scripted(answer) as server:
        yield {"STORAGE_EMULATOR_HOST": "http://{}:{}".format(*server.address)}


def keys(project: Project) -> list[str]:
    """What a user copied to the bucket: the texts."""
    files = sorted(file for file in (project / "resources").rglob("*") if file.is_file())
    return [PREFIX + str(file.relative_to(project.folder)) for file in files]


@pytest.mark.parametrize(("profile", "buckets"), [("kubernetes", s3), ("aws-batch", s3), ("google-batch", gcs)])
def test_a_dry_run_plans_what_one_here_does(profile, buckets, python, project):
    """With one's own names in place of those in capitals."""
    expected = project.plan().jobs
    assert sum(expected.values()) > 15
    file = project / "profiles" / profile / "config.yaml"
    text = file.read_text(encoding="utf-8")
    for name, own in NAMES.items():
        text = text.replace(name, own)
    file.write_text(text, encoding="utf-8")
    with buckets(python, project) as environment:
        command = [python, "-m", "snakemake", "--workflow-profile", f"profiles/{profile}", "--dry-run"]
        done = subprocess.run(
            command, cwd=project.folder, env=os.environ | environment, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Outcome(done.returncode, done.stdout + done.stderr).jobs == expected
