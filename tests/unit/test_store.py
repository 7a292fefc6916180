"""What crawls leave on the disk: bodies by digest, whatever their media type, and what a kill or damage costs."""

import base64
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
from crawling import SITE, Site, page, paths, reasons
from scripted_server import Answer, scripted

from kalam.web.links import HTML_TYPES
from kalam.web.store import Store

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + "கவிதை".encode() + bytes(range(256)) * 99 + b"\n%%EOF\n"
PDF_TYPES = {"application/pdf": "PDF"}


@pytest.fixture
def site(tmp_path):
    with scripted({}) as server:
        yield Site(server, tmp_path / "store")


def bodies(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in site.folder.glob("bodies/*/*")}


def record_path(site: Site, path: str) -> Path:
    return Store(site.folder)._record_path(SITE + path)


def record(site: Site, path: str) -> dict:
    return json.loads(record_path(site, path).read_text(encoding="utf-8"))


def body_path(site: Site, path: str) -> Path:
    return Store(site.folder).body_path(record(site, path)["sha256"])


# --- media types


def test_a_pdf_that_is_asked_for_has_the_bytes_that_were_sent(site):
    site.server.answers |= {"/": page("/কবিতা.pdf"), "/%E0%A6%95%E0%A6%AC%E0%A6%BF%E0%A6%A4%E0%A6%BE.pdf": Answer(PDF)}
    site.server.answers["/%E0%A6%95%E0%A6%AC%E0%A6%BF%E0%A6%A4%E0%A6%BE.pdf"].type = "Application/PDF; version=1.7"
    _, found = site.crawl(types={**HTML_TYPES, **PDF_TYPES})
    assert found.body == found.path.read_bytes() == PDF
    assert (found.media_type, found.content_type) == ("application/pdf", "Application/PDF; version=1.7")
    assert bodies(site)[hashlib.sha256(PDF).hexdigest()] == PDF


def test_links_are_sought_in_html_alone(site):
    text = page("/b").body
    site.server.answers |= {
        "/": page("/a.pdf", "/a.txt", "/a.xhtml"),
        "/a.pdf": Answer(text, type="application/pdf"),
        "/a.txt": Answer(text, type="text/plain"),
        "/a.xhtml": Answer(page("/c").body, type="application/xhtml+xml; charset=utf-8"),
        **dict.fromkeys(["/b", "/c"], page()),
    }
    types = {**HTML_TYPES, **PDF_TYPES, "text/plain": "plain text"}
    assert paths(site.crawl(types=types)) == ["/", "/a.pdf", "/a.txt", "/a.xhtml", "/c"]


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        (HTML_TYPES, "not HTML: image/png"),
        (PDF_TYPES, "not PDF: image/png"),
        ({**HTML_TYPES, **PDF_TYPES}, "not HTML or PDF: image/png"),
    ],
)
def test_what_was_not_asked_for_is_refused_by_what_was(site, types, reason):
    site.server.answers |= {"/": Answer(b"\x89PNG", type="image/png")}
    assert reasons(site.crawl(types=types)) == {"/": reason}
    assert bodies(site) == {}


def test_a_crawl_resumed_for_other_types_has_what_these_ask_for(site):
    site.server.answers |= {"/": page("/a.pdf", "/gone"), "/a.pdf": Answer(PDF, type="application/pdf")}
    both = {**HTML_TYPES, **PDF_TYPES}
    assert reasons(site.crawl(finish=False)) == {"/a.pdf": "not HTML: application/pdf", "/gone": "status 404"}
    assert paths(site.crawl(types=both, finish=False)) == ["/", "/a.pdf"]
    site.asked()
    assert reasons(site.crawl()) == {"/a.pdf": "not HTML: application/pdf", "/gone": "status 404"}
    assert site.asked() == ["/a.pdf", "/gone"]


# --- bodies


def test_pages_of_equal_bytes_share_a_file(site):
    site.server.answers |= {"/": page("/a", "/b"), "/a": page(), "/b": page()}
    _, first, second = site.crawl()
    assert first.url != second.url and first.path == second.path and first.body == second.body
    assert len(bodies(site)) == 2
    site.server.answers["/a"] = page(text="গান")
    _, first, second = site.crawl()
    assert "গান" in first.body.decode() and "কবিতা" in second.body.decode()


def test_a_finished_crawl_leaves_the_bodies_that_records_name(site):
    site.server.answers |= {"/": page("/a", "/b"), "/a": page(text="এক"), "/b": page(text="দুই")}
    site.crawl()
    (site.folder / "bodies/00").mkdir(exist_ok=True)
    (site.folder / "bodies/00/.00ff.tmp").write_bytes(b"left by a kill")
    site.server.answers |= {"/": page("/b"), "/b": page(text="তিন")}
    site.crawl(finish=False)
    assert len(bodies(site)) == 6
    found = site.crawl()
    # that of /a as well, for when a page links to it again
    assert bodies(site).keys() == {record(site, path)["sha256"] for path in ("/", "/a", "/b")}
    assert [item.body for item in found] == [item.path.read_bytes() for item in found]
    site.server.answers["/"] = page("/a", "/b")
    assert site.crawl()[1].retrieved == "2026-01-01T01:00:00Z"


@pytest.mark.parametrize("damage", ["removed", "truncated", "emptied", "altered", "record", "a word of it"])
@pytest.mark.parametrize("finish", [False, True], ids=["same crawl", "later crawl"])
def test_what_was_damaged_is_fetched_again_unconditionally(site, damage, finish, caplog):
    site.server.answers |= {"/": page("/a"), "/a": page(text="নদী")}
    site.server.answers["/a"].headers = {"ETag": '"1"'}
    whole = site.crawl(finish=finish)
    body = body_path(site, "/a")
    content = body.read_bytes()
    if damage == "removed":
        body.unlink()
    elif damage == "record":
        record_path(site, "/a").write_text("{", encoding="utf-8")
    elif damage == "a word of it":
        told = record_path(site, "/a").read_text(encoding="utf-8")
        assert '"etag": "\\"1\\""' in told
        record_path(site, "/a").write_text(told.replace('"\\"1\\""', '"\\"2\\""'), encoding="utf-8")
    else:
        body.write_bytes(
            {"truncated": content[:-1], "emptied": b"", "altered": content.replace(b"<p>", b"<b>")}[damage]
        )
    site.asked()
    found = site.crawl()
    sent = {path: headers.get("If-None-Match") for path, headers in site.server.requests}
    assert sent == {"/robots.txt": None, "/a": None} | ({"/": None} if finish else {})
    assert found[0] == whole[0] and found[1].body == content
    assert body.read_bytes() == content
    lines = {"fetched again, as its body is missing or damaged", "passed over, as if it had never been there"}
    assert len({line for line in lines for record in caplog.records if line in record.getMessage()}) == 1


def test_records_that_hold_their_body_themselves_count_as_not_fetched(site):
    """As crawls of earlier versions wrote them."""
    site.server.answers |= {"/": page("/a", "/gone"), "/a": page()}
    site.server.answers["/a"].headers = {"ETag": '"1"'}
    whole = site.crawl(finish=False)
    for path in ("/", "/a", "/gone"):
        old = record(site, path)
        old.pop("types", None)
        if old.pop("sha256", None):
            old["body"] = base64.b64encode(page().body.encode()).decode("ascii")
        record_path(site, path).write_text(json.dumps(old), encoding="utf-8")
    shutil.rmtree(site.folder / "bodies")
    site.asked()
    found = site.crawl()
    assert site.asked() == ["/", "/a", "/gone"]
    assert (paths(found), reasons(found)) == (paths(whole), reasons(whole))
    assert [item.body for item in found[:2]] == [
        answer.body.encode() for answer in map(site.server.answers.get, ["/", "/a"])
    ]
    assert site.server.requests == []


# --- kills


def test_a_crawl_killed_between_a_body_and_its_record_fetches_the_page_again(site, monkeypatch):
    site.server.answers |= {"/": page("/a"), "/a": page(text="নদী")}

    def killed(store: Store, url: str, record: dict) -> None:
        raise KeyboardInterrupt

    site.crawl(max_pages=1, finish=False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "put", killed)
        site.crawl()
    kept = bodies(site)
    assert len(kept) == 2 and not record_path(site, "/a").exists()
    site.asked()
    assert paths(site.crawl()) == ["/", "/a"]
    assert site.asked() == ["/a"] and bodies(site) == kept


def killed_at(site: Site, change: int) -> int | None:
    """Crawl in a process of its own, killed right before the `change`-th time it renames or removes a file."""

    def run() -> None:
        changes = 0

        def counted(call):
            def change_file(*arguments, **options):
                nonlocal changes
                changes += 1
                if changes == change:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return change_file

        os.replace, os.unlink = counted(os.replace), counted(os.unlink)
        site.crawl()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def records(site: Site) -> list[dict]:
    return [{**record(site, path), "crawl": None, "seal": None} for path in ("/", "/a", "/b", "/gone")]


def test_a_crawl_killed_before_any_change_of_a_file_ends_the_same(site):
    """The second crawl of a site: one page is new, one has changed, two have equal bodies, one is gone."""
    site.server.answers |= {"/": page("/a", "/gone"), "/a": page(text="পুরোনো"), "/gone": page(text="গেল")}
    site.crawl()
    first = site.folder
    site.server.answers |= {"/": page("/a", "/b", "/gone"), "/a": page(), "/b": page(), "/gone": Answer(status=404)}

    def begin(name: str) -> None:
        site.folder, site.hour = first.with_name(name), 1
        shutil.copytree(first, site.folder)
        site.asked()

    begin("whole")
    whole = site.crawl()
    wanted = [item.url for item in whole], reasons(whole), records(site), bodies(site)
    change = 0
    while True:
        change += 1
        begin(str(change))
        code = killed_at(site, change)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        before = site.asked()
        found = site.crawl()
        asked = before + site.asked()
        assert ([item.url for item in found], reasons(found), records(site), bodies(site)) == wanted
        assert sorted(set(asked)) == ["/", "/a", "/b", "/gone"]
        assert len(asked) <= 5  # one page may have been under way
        assert not (site.folder / "unfinished.json").exists()
    assert change > 10
