"""Crawling real loopback sites: what is visited, in what order, and what a second crawl still asks for."""

import gzip

import pytest
from crawling import SITE, Site, page, paths, reasons
from scripted_server import Answer, scripted

from kalam.files.errors import InputError
from kalam.web.crawl import MAX_UNANSWERED, Page
from kalam.web.links import links_of, may_follow


@pytest.fixture
def site(tmp_path):
    with scripted({}) as server:
        yield Site(server, tmp_path / "store")


def test_breadth_first_in_the_order_of_the_links(site):
    site.server.answers |= {
        "/": page("/b", "/a"),
        "/a": page("/c", "/"),
        "/b": page("/d"),
        "/c": page(),
        "/d": page("/e"),
        "/e": page(),
    }
    assert paths(site.crawl()) == ["/", "/b", "/a", "/d", "/c", "/e"]
    assert site.asked() == ["/", "/b", "/a", "/d", "/c", "/e"]


def test_a_page_has_one_address(site):
    spellings = ["/a", "/a#শেষ", "http://BANGLA.localhost:80/a", "./a", "x/../a", "//bangla.localhost/a", "/%61?"]
    site.server.answers |= {"/": page(*spellings), "/a": page(*spellings), "/%61": page()}
    found = site.crawl()
    assert paths(found)[:2] == ["/", "/a"]
    assert site.asked().count("/a") == 1


def test_depth_and_number_are_limited(site):
    site.server.answers |= {f"/{n}": page(f"/{n + 1}") for n in range(9)}
    assert paths(site.crawl(["/0"], max_depth=2)) == ["/0", "/1", "/2"]
    assert paths(site.crawl(["/0"], max_depth=0)) == ["/0"]
    assert paths(site.crawl(["/0"], max_pages=4)) == ["/0", "/1", "/2", "/3"]


def test_missing_pages_count_but_forbidden_ones_do_not(site):
    site.server.answers |= {
        "/robots.txt": Answer("User-agent: *\nDisallow: /no\n"),
        "/": page("/no1", "/no2", "/gone", "/a", "/b"),
        "/a": page(),
        "/b": page(),
    }
    found = site.crawl(max_pages=3)
    assert paths(found) == ["/", "/a"]
    assert reasons(found) == {"/no1": "robots.txt forbids", "/no2": "robots.txt forbids", "/gone": "status 404"}


def test_what_is_no_page_is_told_with_its_reason(site):
    site.server.answers |= {
        "/": page("/pdf", "/broken", "/moved", "/again", "/elsewhere", "http://other.example/", "mailto:a@b.example"),
        "/pdf": Answer("%PDF", type="application/pdf"),
        "/broken": Answer("অর্ধেক", length=999),
        "/moved": Answer(status=301, headers={"Location": "/target"}),
        "/again": Answer(status=301, headers={"Location": "/target"}),
        "/target": page(),
        "/elsewhere": Answer(status=302, headers={"Location": "http://other.example/"}),
    }
    found = site.crawl()
    assert paths(found) == ["/", "/target"]
    assert reasons(found) == {
        "/pdf": "not HTML: application/pdf",
        "/broken": "broken answer: ProtocolError",
        "/again": f"duplicate: redirects to {SITE}/target",
        "/elsewhere": "redirect to another host",
    }


def test_a_start_that_redirects_to_another_host_takes_it_in(site):
    site.server.answers |= {
        "/": [Answer(status=301, headers={"Location": "http://www.bangla.localhost/"}), page("/a")],
        "/a": page(),
    }
    assert [item.url for item in site.crawl()] == ["http://www.bangla.localhost/", "http://www.bangla.localhost/a"]


def test_nofollow_is_followed_nowhere(site):
    site.server.answers |= {
        "/": Answer('<p>ক</p><a rel="external NoFollow" href="/x">x</a><a href="/a">a</a><a href="/b">b</a>'),
        "/a": page("/y", head='<meta name="Robots" content="noindex, nofollow">'),
        "/b": page("/z"),
    }
    site.server.answers["/b"].headers = {"X-Robots-Tag": "none"}
    assert paths(site.crawl()) == ["/", "/a", "/b"]
    assert may_follow("max-image-preview:none, index")


def test_links_are_read_from_any_encoding_and_base():
    body = '<html><head><meta charset="utf-8"><base href="/বই/"></head><body><a href="১">১</a><a>x</a>'
    link = f"{SITE}/%E0%A6%AC%E0%A6%87/%E0%A7%A7"
    assert links_of(body.encode(), "text/html", f"{SITE}/a/b") == [link]
    assert links_of(body.encode("utf-16"), "text/html", f"{SITE}/a/b") == [link]
    assert links_of(b"", "text/html", SITE) == []


def test_a_killed_crawl_goes_on_without_asking_again(site):
    site.server.answers |= {"/": page("/a", "/gone", "/b"), "/a": page(), "/b": page("/c"), "/c": page()}
    whole = site.crawl()
    site.folder = site.folder.with_name("other")
    site.asked()
    for stop in (1, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            site.crawl(stop=stop)
    assert site.asked() == ["/", "/a", "/gone", "/b"]
    resumed = site.crawl()
    assert site.asked() == ["/c"]
    assert [item.url for item in resumed] == [item.url for item in whole]
    assert [item.retrieved[11:13] for item in resumed if isinstance(item, Page)] == ["02", "03", "04", "05"]


def test_a_later_crawl_asks_only_for_what_changed(site):
    site.server.answers |= {
        "/": page("/tagged", "/plain", "/new"),
        "/tagged": page(text="এক"),
        "/plain": page(text="দুই"),
        "/new": page(text="তিন"),
    }
    site.server.answers["/tagged"].headers = {"ETag": '"1"'}
    first = site.crawl()
    site.server.answers["/new"] = page(text="চার")
    site.asked()
    second = site.crawl()
    sent = {path: headers.get("If-None-Match") for path, headers in site.server.requests}
    assert sent == {"/robots.txt": None, "/": None, "/tagged": '"1"', "/plain": None, "/new": None}
    assert second[:3] == first[:3]
    assert second[3].retrieved > first[3].retrieved and "চার" in second[3].body.decode()
    assert site.crawl() == second


def test_a_page_that_came_back_is_new_and_one_that_went_is_gone(site):
    site.server.answers |= {"/": page("/a"), "/a": page()}
    site.crawl()
    answer = site.server.answers.pop("/a")
    assert reasons(site.crawl()) == {"/a": "status 404"}
    site.server.answers["/a"] = answer
    assert site.crawl()[1].retrieved == "2026-01-01T03:00:00Z"


def test_an_unfinished_crawl_of_a_folder_that_changed_begins_anew(site):
    site.server.answers |= {"/": page("/a"), "/a": page()}
    site.crawl(served="1", finish=False)
    site.asked()
    site.crawl(served="1", finish=False)
    assert site.asked() == []
    site.crawl(served="2")
    assert site.asked() == ["/", "/a"]


def test_a_start_without_an_answer_stops_the_crawl(site):
    site.server.answers |= {"/": Answer(hang_up=True)}
    with pytest.raises(InputError, match=r"^start: http://bangla\.localhost/: no answer: ProtocolError$"):
        site.crawl()
    with pytest.raises(InputError, match="not an http or https URL"):
        site.crawl(["ftp://bangla.localhost/"])


def test_a_site_that_falls_silent_stops_the_crawl_which_then_goes_on(site):
    pages = [f"/{n}" for n in range(MAX_UNANSWERED + 2)]
    site.server.answers |= {"/": page(*pages), "/0": page()} | dict.fromkeys(pages[1:], Answer(hang_up=True))
    with pytest.raises(InputError, match=f"{MAX_UNANSWERED} URLs in a row"):
        site.crawl()
    site.asked()
    site.server.answers |= dict.fromkeys(pages, page())
    assert paths(site.crawl()) == ["/", *pages]
    assert site.asked() == pages[1:]


SITEMAP = '<?xml version="1.0"?><{0} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{1}</{0}>'


def sitemap(kind: str, *locations: str) -> Answer:
    item = {"urlset": "url", "sitemapindex": "sitemap"}[kind]
    items = "".join(f"<{item}><loc> {SITE}{location} </loc></{item}>" for location in locations)
    return Answer(SITEMAP.format(kind, items), type="application/xml")


def test_sitemaps_indexes_and_those_of_robots_txt_are_read(site):
    packed = gzip.compress(sitemap("urlset", "/c").body.encode())
    site.server.answers |= {
        "/robots.txt": Answer(
            f"Sitemap: {SITE}/more.xml\nSitemap: {SITE}/index.xml\nSitemap: http://other.example/s.xml"
        ),
        "/index.xml": sitemap("sitemapindex", "/one.xml", "/two.xml.gz", "/none.xml", "/page.xml", "/index.xml"),
        "/one.xml": sitemap("urlset", "/a", "/b", "/a"),
        "/two.xml.gz": Answer(packed, type="application/gzip"),
        "/page.xml": page(),
        "/more.xml": sitemap("urlset", "/d"),
        **dict.fromkeys(["/a", "/b", "/c", "/d"], page()),
    }
    found = site.crawl(["/index.xml"])
    assert paths(found) == ["/a", "/b", "/c", "/d"]
    assert reasons(found) == {"/none.xml": "status 404", "/page.xml": "not a sitemap"}


def test_entities_in_a_sitemap_lead_nowhere(site, tmp_path):
    (tmp_path / "secret").write_text("/gopon", encoding="utf-8")
    declared = f'<!DOCTYPE urlset [<!ENTITY x SYSTEM "file://{tmp_path}/secret"><!ENTITY y "/a">]>'
    text = (
        f"<urlset><url><loc>{SITE}&x;</loc></url><url><loc>{SITE}&y;</loc></url><url><loc>{SITE}/b</loc></url></urlset>"
    )
    site.server.answers |= {"/s.xml": Answer(declared + text, type="text/xml"), "/b": page(), "/": page()}
    site.crawl(["/s.xml"])
    assert not {"/gopon", "/a"} & set(site.asked())
