"""Crawling real loopback sites: what is visited, in what order, and what a second crawl still asks for."""

import gzip
from contextlib import suppress

import pytest
from crawling import SITE, Site, page, paths, reasons
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Answer, scripted

from kalam.files.errors import InputError
from kalam.web.connections import FetchError
from kalam.web.crawl import MAX_UNANSWERED, Page
from kalam.web.links import links_of, may_follow
from kalam.web.sitemaps import parse_sitemap


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
    assert links_of(body.encode(), "text/html", f"{SITE}/a/b")[0] == [link]
    assert links_of(body.encode("utf-16"), "text/html", f"{SITE}/a/b")[0] == [link]
    assert links_of(b"", "text/html", SITE) == ([], [])


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
    assert reasons(found) == {
        "/none.xml": "status 404",
        "/page.xml": "not a sitemap",
        "http://other.example/s.xml": "another host: other.example",
    }


def test_entities_in_a_sitemap_lead_nowhere(site, tmp_path):
    (tmp_path / "secret").write_text("/gopon", encoding="utf-8")
    declared = f'<!DOCTYPE urlset [<!ENTITY x SYSTEM "file://{tmp_path}/secret"><!ENTITY y "/a">]>'
    text = (
        f"<urlset><url><loc>{SITE}&x;</loc></url><url><loc>{SITE}&y;</loc></url><url><loc>{SITE}/b</loc></url></urlset>"
    )
    site.server.answers |= {"/s.xml": Answer(declared + text, type="text/xml"), "/b": page(), "/": page()}
    site.crawl(["/s.xml"])
    assert not {"/gopon", "/a"} & set(site.asked())


def listed(site, body: bytes | str, **answers) -> tuple[list[str], dict[str, str]]:
    """The pages and the refusals of a crawl that starts from a sitemap with this body."""
    site.server.answers |= {"/s.xml": Answer(body, **answers), **{f"/p{n}": page() for n in range(4)}}
    found = site.crawl(["/s.xml"])
    return paths(found), reasons(found)


def urlset(*locations: str) -> str:
    return SITEMAP.format("urlset", "".join(f"<url><loc>{location}</loc></url>" for location in locations))


PAGES = [f"{SITE}/p{n}" for n in range(4)]


@pytest.mark.parametrize(
    "body",
    [
        "\ufeff" + urlset(*PAGES),
        " \n" + urlset(*PAGES),
        urlset(*PAGES).encode("utf-16"),
        urlset(*PAGES).encode("utf-16-le"),
        urlset(*PAGES).replace("1.0", "1.0' encoding='utf-16", 1),
        gzip.compress(urlset(*PAGES).encode()),
        gzip.compress(urlset(*PAGES)[:150].encode()) + gzip.compress(urlset(*PAGES)[150:].encode()),
        urlset(*PAGES).replace(" xmlns=", " x="),
        urlset(*PAGES).replace(" xmlns=", " x=").replace("<", "<sm:").replace("<sm:/", "</sm:").replace("<sm:?", "<?"),
        urlset(*PAGES).encode().replace(b"<loc>", b"<title>\xff</title><loc>", 1),
        urlset(*PAGES).replace("sitemaps.org", "google.com"),
        urlset(*(f"\n\t {url} \r\n" for url in PAGES)),
        urlset(*(f"<![CDATA[{url}]]>" for url in PAGES)),
        urlset(*(f"<!-- x -->{url}" for url in PAGES)),
        urlset("p0", "/p1", "./p2", "//bangla.localhost/p3"),
        urlset(*PAGES).replace(
            "<url>", "<url><image:image><image:loc>/no</image:loc></image:image><lastmod>99999-13-77</lastmod>"
        ),
    ],
)
@pytest.mark.parametrize("media_type", ["application/xml", "text/html", "application/octet-stream", None])
def test_a_sitemap_is_read_however_it_is_written(site, body, media_type):
    assert listed(site, body, type=media_type) == (["/p0", "/p1", "/p2", "/p3"], {})


def test_a_sitemap_named_gz_may_be_none_and_one_that_is_may_be_packed_again(site):
    packed = gzip.compress(gzip.compress(urlset(PAGES[1]).encode()))
    site.server.answers |= {
        "/a.xml.gz": Answer(urlset(PAGES[0])),
        "/b.xml.gz": Answer(packed, headers={"Content-Encoding": "gzip"}),
        "/p0": page(),
        "/p1": page(),
    }
    assert paths(site.crawl(["/a.xml.gz", "/b.xml.gz"])) == ["/p0", "/p1"]


def test_ampersands_in_a_sitemap_may_be_bare(site):
    urls = ["/p?a=1&b=2", "/p?a=1&amp;b=3", "/p?a=1&#38;b=4", "<![CDATA[/p?a=1&b=5]]>", "/p?&&c=&"]
    site.server.answers |= {"/s.xml": Answer(urlset(*urls))}
    site.crawl(["/s.xml"])
    assert site.asked() == ["/s.xml", "/p?a=1&b=2", "/p?a=1&b=3", "/p?a=1&b=4", "/p?a=1&b=5", "/p?&&c=&"]


def test_of_a_sitemap_that_is_cut_short_the_pages_are_read_and_it_is_named(site):
    whole = urlset(*PAGES)
    for cut in (whole[: whole.index("/p3") + 2], whole[: whole.index("/p3") - 20], whole[: whole.index("/p2") + 6]):
        found, refused = listed(site, cut)
        assert found == ["/p0", "/p1", "/p2"] and refused["/s.xml"].startswith("broken sitemap: ")
    found, refused = listed(site, gzip.compress(whole.encode())[:-8])
    assert found == ["/p0", "/p1", "/p2", "/p3"] and refused["/s.xml"].startswith("broken gzip: ")
    found, refused = listed(site, gzip.compress(whole.encode(), compresslevel=0)[: whole.index("/p2") + 15])
    assert found == ["/p0", "/p1"] and refused["/s.xml"].startswith("broken gzip: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a sitemap"),
        (b"\x00\x01\x02\xff" * 50, "not a sitemap"),
        (b"\x1f\x8b", "broken gzip: Compressed file ended before the end-of-stream marker was reached"),
        (b"\x1f\x8b" + b"\xff" * 50, "broken gzip: Unknown compression method"),
        (bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D, 0xFF, 0xFE, 0xC0]) * 9, "not a sitemap"),
        (b"<html><body><loc>/p1</loc></body></html>", "not a sitemap"),
        (b"<rss><channel><loc>/p1</loc></channel></rss>", "not a sitemap"),
        ("<" * 1000, "not a sitemap"),
        (gzip.compress(bytes(21_000_000)), "too large: over 20 MB"),
    ],
)
def test_what_is_no_sitemap_has_its_reason(site, body, reason):
    assert listed(site, body, type="application/xml") == ([], {"/s.xml": reason})


@given(st.integers(0, 400), st.binary(max_size=9), st.integers(0, 9), st.booleans())
def test_a_damaged_sitemap_is_read_or_refused(at, put, left_out, packed):
    whole = urlset(*PAGES, "/a?b&c").encode()
    whole = gzip.compress(whole) if packed else whole
    with suppress(FetchError):
        kind, locations, _ = parse_sitemap(whole[:at] + put + whole[at + left_out :])
        assert kind in ("urlset", "sitemapindex") and all(locations)


def test_what_a_sitemap_lists_of_other_hosts_is_told(site):
    other = [
        "http://www.bangla.localhost/a",
        "http://www.bangla.localhost/a",
        f"{SITE}:81/b",
        "mailto:a@b.example",
        "http://[::1",
    ]
    assert listed(site, urlset(PAGES[1], *other, f"{SITE}:80/p2")) == (
        ["/p1", "/p2"],
        {
            "http://www.bangla.localhost/a": "another host: www.bangla.localhost",
            ":81/b": "another host: bangla.localhost:81",
            "mailto:a@b.example": "not an http or https URL",
            "http://[::1": "not an http or https URL",
        },
    )


def test_a_start_sitemap_that_is_redirected_takes_the_host_in(site):
    www = "http://www.bangla.localhost"
    site.server.answers |= {
        "/s.xml": [Answer(status=301, headers={"Location": f"{www}/s.xml"}), Answer(urlset("/p1", f"{SITE}/p2"))],
        "/p1": page(),
        "/p2": page(),
    }
    assert [item.url for item in site.crawl(["/s.xml"])] == [f"{www}/p1", f"{SITE}/p2"]


def test_of_an_index_a_thousand_sitemaps_are_read_and_the_rest_is_told(site, monkeypatch):
    monkeypatch.setattr("kalam.web.sitemaps.MAX_SITEMAPS", 3)
    index = sitemap("sitemapindex", *(f"/{n}.xml" for n in range(5)), "/0.xml")
    site.server.answers |= {"/index.xml": index, **{f"/p{n}": page() for n in range(5)}}
    site.server.answers |= {f"/{n}.xml": Answer(urlset(f"/p{n}")) for n in range(5)}
    found = site.crawl(["/index.xml"])
    assert paths(found) == ["/p0", "/p1"]
    assert reasons(found) == {"/index.xml": "more than 3 sitemaps: 3 left out"}


@pytest.mark.parametrize(
    "content",
    ["0; url=/home", "0;URL='/home'", '5 ; Url = "/home"', "0, /home", "0 home", ".5;url=home#x", "0;url= /home "],
)
def test_a_start_page_that_refreshes_leads_on(site, content):
    head = f"<meta HTTP-EQUIV='Refresh' content='{content.replace(chr(39), '&#39;')}'>"
    site.server.answers |= {"/": page(head=head, text=""), "/home": page("/a"), "/a": page()}
    assert paths(site.crawl(max_depth=1)) == ["/", "/home", "/a"]
    assert paths(site.crawl(max_depth=0)) == ["/", "/home"]


@pytest.mark.parametrize("content", ["5", "", "0; url=", "0; url=javascript:x", "url=/home", "0; url=http://[::1"])
def test_a_refresh_that_leads_nowhere_is_none(site, content):
    site.server.answers |= {"/": page(head=f'<meta http-equiv="refresh" content="{content}">'), "/home": page()}
    assert paths(site.crawl()) == ["/"] and site.asked() == ["/"]


def test_the_pages_of_a_frameset_are_links(site):
    frames = "<frameset cols='20%,80%'><frame src='menu'><frameset><frame src='home'><frame></frameset></frameset>"
    site.server.answers |= {"/": Answer(f"<html>{frames}</html>"), "/menu": page("/a"), "/home": page(), "/a": page()}
    assert paths(site.crawl()) == ["/", "/menu", "/home", "/a"]


def test_where_a_page_leads_on_to_is_checked_like_any_url(site):
    def refresh(url: str) -> str:
        return f'<meta http-equiv="refresh" content="0; url={url}">'

    targets = ["/gopon", "http://10.0.0.1/", "http://other.example/", "/loop", "/"]
    site.server.answers |= {
        "/robots.txt": Answer("User-agent: *\nDisallow: /gopon\n"),
        "/": page(head="".join(map(refresh, targets))),
        "/loop": page(head=refresh("/")),
        "/nofollow": page(head=refresh("/a") + '<meta name="robots" content="nofollow">'),
        "/a": page(),
    }
    found = site.crawl(["/", "/nofollow"])
    assert paths(found) == ["/", "/nofollow", "/loop"]
    assert reasons(found) == {
        "/gopon": "robots.txt forbids",
        "http://10.0.0.1/": "another host: 10.0.0.1",
        "http://other.example/": "another host: other.example",
    }


def test_pages_that_refresh_without_end_are_as_deep_as_links(site):
    site.server.answers |= {f"/{n}": page(head=f"<meta http-equiv=refresh content='0;/{n + 1}'>") for n in range(9)}
    assert paths(site.crawl(["/0"], max_depth=3)) == ["/0", "/1", "/2", "/3", "/4"]


def test_another_port_is_another_host_to_a_crawl(site):
    site.server.answers |= {"/": page(f"{SITE}:81/a", "/b", f"{SITE}:80/c"), "/b": page(), "/c": page()}
    assert paths(site.crawl()) == ["/", "/b", "/c"]
    assert paths(site.crawl([f"{SITE}:81/"])) == [":81/", ":81/b"]


def test_a_date_beyond_the_calendar_is_kept_as_it_was_given(site):
    when = "Fri, 31 Dec 99999 23:59:59 GMT"
    site.server.answers |= {"/": Answer("<p>কবিতা</p>", headers={"Last-Modified": when})}
    assert paths(site.crawl()) == paths(site.crawl()) == ["/"]
    assert site.server.requests[-1][1]["If-Modified-Since"] == when


def test_a_packed_page_that_is_cut_short_is_no_page_and_not_kept(site):
    packed = gzip.compress(page(text="কবিতা " * 500).body.encode())
    site.server.answers |= {"/": page("/cut"), "/cut": Answer(packed[:-9], headers={"Content-Encoding": "gzip"})}
    assert reasons(site.crawl()) == {"/cut": "broken answer: DecodeError"}
    site.server.answers["/cut"] = Answer(packed, headers={"Content-Encoding": "gzip"})
    assert site.crawl()[1].body == gzip.decompress(packed)
