"""A site as a source: crawled, crawled again, interrupted, edited."""

import json
import os
from pathlib import Path

import pytest
from collecting import POEM, SITE, gather, html, outputs, write

from kalam.corpus.collect import collect, write_collected
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.files.sealed import SEAL, read_sealed, write_sealed


@pytest.fixture
def site(tmp_path) -> Path:
    write(
        tmp_path / "site" / "index.html",
        html("প্রথম পাতার কবিতা, যার দুই পঙ্‌ক্তি।", POEM, links=("a.html", "gopon/b.html", "c.html")),
    )
    write(tmp_path / "site" / "a.html", html(POEM, "দ্বিতীয় পাতা এখানে শেষ।", title="দুই"))
    write(tmp_path / "site" / "gopon" / "b.html", html(POEM))
    write(tmp_path / "site" / "robots.txt", "User-agent: *\nDisallow: /gopon/\n")
    return tmp_path


def test_a_served_site_is_crawled(site):
    documents, dropped = gather(SITE, site)
    assert [(document["url"], document["title"]) for document in documents] == [
        ("http://bangla.localhost/", "নদী"),
        ("http://bangla.localhost/a.html", "দুই"),
    ]
    assert documents[1]["group"] == "kobita/http://bangla.localhost/a.html"
    assert documents[1]["text"] == f"{POEM}\n\nদ্বিতীয় পাতা এখানে শেষ।"
    assert documents[1]["retrieved"].endswith("Z")
    assert [(row["url"], row["reason"]) for row in dropped] == [
        ("http://bangla.localhost/gopon/b.html", "robots.txt forbids"),
        ("http://bangla.localhost/c.html", "status 404"),
    ]


def test_files_of_a_served_folder_were_had_when_the_settings_say(site):
    documents, _ = gather({**SITE, "retrieved": "2020-02-23"}, site)
    assert {document["retrieved"] for document in documents} == {"2020-02-23"}


def test_collecting_again_gives_the_same_and_editing_a_page_changes_it_alone(site):
    hours = iter(range(10, 24))

    def run() -> list[dict]:
        write_collected(SITE, "kobita", "documents", "bn", 20, site, site / "store", **outputs(site))
        return list(read_jsonl(outputs(site)["documents"]))

    run()
    for record in (site / "store" / "pages").rglob("*.json"):
        old = json.loads(record.read_text(encoding="utf-8"))
        if "retrieved" in old:
            old.pop(SEAL)
            write_sealed(record, {**old, "retrieved": f"2026-01-01T{next(hours)}:00:00Z"})
    first = run()
    assert all(document["retrieved"].startswith("2026-01-01T") for document in first)
    for page in (site / "site").rglob("*.html"):
        os.utime(page, (0, 0))
    assert run() == first
    write(site / "site" / "a.html", html(POEM, "তৃতীয় পাতা এখানে শেষ।", title="দুই"))
    os.utime(site / "site" / "a.html", (0, 0))
    second = run()
    assert second[0] == first[0]
    assert second[1]["text"].endswith("তৃতীয় পাতা এখানে শেষ।")
    assert second[1]["retrieved"] != first[1]["retrieved"] and second[1]["group"] == first[1]["group"]


def test_an_interrupted_collection_of_a_site_goes_on(site):
    found = collect(SITE, "kobita", "documents", "bn", 20, site, site / "store")
    first = next(found)[0]
    found.close()
    assert (site / "store" / "unfinished.json").exists()
    record = next(path for path in (site / "store" / "pages").rglob("*.json"))
    write_sealed(record, {**read_sealed(record), "retrieved": "1999-01-01T00:00:00Z"})
    write_collected(SITE, "kobita", "documents", "bn", 20, site, site / "store", **outputs(site))
    documents = list(read_jsonl(outputs(site)["documents"]))
    assert documents[0] == {**first, "retrieved": "1999-01-01T00:00:00Z"} and len(documents) == 2
    assert not (site / "store" / "unfinished.json").exists()


def test_a_page_edited_while_its_crawl_was_interrupted_is_read_anew(site):
    write(site / "site" / "index.html", html(POEM, "প্রথম পাতার শেষ।", links=("a.html",)))
    found = collect(SITE, "kobita", "documents", "bn", 20, site, site / "store")
    assert next(found)[0]["text"].endswith("প্রথম পাতার শেষ।")
    found.close()
    write(site / "site" / "index.html", html(POEM, "প্রথম পাতার আরেক শেষ।", links=("a.html",)))
    assert gather(SITE, site)[0][0]["text"].endswith("প্রথম পাতার আরেক শেষ।")


def test_a_private_site_is_refused_in_one_line(site):
    source = {**SITE, "serve": None, "start": ["http://127.0.0.1:9/"]}
    with pytest.raises(InputError) as caught:
        write_collected(source, "kobita", "documents", "bn", 20, site, site / "store", **outputs(site))
    assert str(caught.value) == "source kobita: no document; dropped: private address (1)"


def test_a_site_that_does_not_answer_is_named(site):
    source = {**SITE, "serve": None, "start": ["http://127.0.0.1:9/"], "private_addresses": True}
    with pytest.raises(InputError, match=r"^source kobita: start: http://127\.0\.0\.1:9/: no "):
        gather(source, site)


@pytest.mark.parametrize("start", ["http://[::1", "http://..", "http://a b/", "http://a.example:65536/"])
@pytest.mark.parametrize("serve", ["site", None])
def test_a_start_that_is_no_url_is_named(site, start, serve):
    with pytest.raises(InputError) as caught:
        gather({**SITE, "serve": serve, "start": [start]}, site)
    assert str(caught.value) == f"source kobita: start: {start}: not an http or https URL"


def test_a_start_page_without_text_leads_to_the_pages_behind_it(site):
    write(site / "site" / "index.html", "<html><frameset><frame src='a.html'><frame src='menu.html'></frameset></html>")
    write(site / "site" / "menu.html", "<html><head><meta http-equiv=refresh content='0; url=c.html'></head></html>")
    write(site / "site" / "c.html", html("তৃতীয় পাতার কবিতা, যার এক পঙ্‌ক্তি।", POEM))
    documents, dropped = gather(SITE, site)
    assert [document["url"].rpartition("/")[2] for document in documents] == ["a.html", "c.html"]
    assert [(row["url"].rpartition("/")[2], row["reason"], row.get("detail")) for row in dropped] == [
        ("", "no text", "no body"),
        ("menu.html", "no text", "no body"),
    ]


def test_a_page_larger_than_the_memory_is_not_taken(site):
    with open(site / "site" / "a.html", "wb") as page:
        page.truncate(10**8)
    documents, dropped = gather(SITE, site)
    assert [document["url"] for document in documents] == ["http://bangla.localhost/"]
    assert {row["url"].rpartition("/")[2]: row.get("detail") for row in dropped}["a.html"] == "over 20 MB"
