"""A folder served over loopback: whole, unlisted, and with changes told by content."""

import os
from pathlib import Path

import pytest

from kalam.web.connections import FetchError
from kalam.web.fetcher import Fetcher
from kalam.web.serving import serve_folder

SITE = "http://bangla.localhost"


def status_of(fetcher: Fetcher, url: str) -> int | None:
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(url)
    return caught.value.status


def test_a_served_folder_tells_changes_by_content_alone(tmp_path: Path):
    (tmp_path / "index.html").write_text("এক", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path.parent / "outside.html").write_text("বাইরে", encoding="utf-8")
    (tmp_path / "link.html").symlink_to(tmp_path.parent / "outside.html")
    with serve_folder(tmp_path) as address:
        fetcher = Fetcher("kalam-crawler", 0, 0, 5, connect_to={"bangla.localhost": address})
        first = fetcher.fetch(f"{SITE}/", types={"text/html": "HTML"})
        known = {"url": first.url, "etag": first.headers["etag"], "last_modified": first.headers.get("last-modified")}
        os.utime(tmp_path / "index.html")
        assert fetcher.fetch(f"{SITE}/", known).status == 304
        (tmp_path / "index.html").write_text("দুই", encoding="utf-8")
        os.utime(tmp_path / "index.html", (0, 0))
        assert fetcher.fetch(f"{SITE}/", known).body.decode() == "দুই"
        for path in ("/sub/", "/sub", "/none.html", "/link.html", "/index.html/", "/%2e%2e/outside.html"):
            assert status_of(fetcher, f"{SITE}{path}") == 404


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("কবিতা.HTML", "text/html"),
        ("a.xhtml", "application/xhtml+xml"),
        ("a.xml", "application/xml"),
        ("a.txt", "text/plain"),
        ("a.pdf", "application/pdf"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.kalam", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_media_types_are_the_same_on_every_machine(tmp_path: Path, monkeypatch, name, media_type):
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/of-this-machine", None))
    (tmp_path / name).write_bytes(b"1")
    with serve_folder(tmp_path) as address:
        fetcher = Fetcher("kalam-crawler", 0, 0, 5, connect_to={"bangla.localhost": address})
        assert fetcher.fetch(f"{SITE}/{name}").headers["content-type"] == media_type
