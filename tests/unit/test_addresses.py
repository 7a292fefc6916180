"""URLs in one form, and addresses that are not of the public internet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.web.addresses import canonical_url, is_public, origin_of, resolve, site_of


@pytest.mark.parametrize(
    ("url", "form"),
    [
        (
            "HTTP://Bangla.Example:80/কবিতা?ক=১#শেষ",
            "http://bangla.example/%E0%A6%95%E0%A6%AC%E0%A6%BF%E0%A6%A4%E0%A6%BE?%E0%A6%95=%E0%A7%A7",
        ),
        ("https://a.example:443", "https://a.example/"),
        ("http://a.example/b/../c/./d", "http://a.example/c/d"),
        ("http://user:secret@a.example/", "http://a.example/"),
        ("http://বাংলা.example/", "http://xn--54b7fta0cc.example/"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        (" http://a.example/%e0%a6 ", "http://a.example/%E0%A6"),
        ("mailto:a@b.example", None),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("http://", None),
        ("http://a.example:99999/", None),
        ("http://a.example:65536/", None),
        (f"http://a.example/{'a' * 2048}", None),
        (f"http://a.example/{'ক' * 300}", None),
        (f"http://a.example/{'a' * 2000}", f"http://a.example/{'a' * 2000}"),
        ("http://a.example:0/", None),
        ("http://a.example:b/", None),
        ("http://[::1", None),
        ("http://[zz]/", None),
        ("http://..", None),
        ("http://a..b/", None),
        ("http://.a.example/", None),
        ("http://a b/", None),
        ("http://a%20b/", None),
        ("http://<a>/", None),
        (f"http://{'a' * 64}.example/", None),
        (f"http://{'a.' * 130}example/", None),
        ("http://a_b.example./", "http://a_b.example./"),
    ],
)
def test_a_url_has_one_form(url, form):
    assert canonical_url(url) == form


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Z"]), max_size=30))
def test_the_form_of_a_url_is_its_own_form(path):
    form = canonical_url("http://a.example/" + path)
    assert form is None or canonical_url(form) == form


def test_links_join_to_their_page():
    assert canonical_url("../২", "http://a.example/১/৩/") == canonical_url("http://a.example/১/২")
    assert origin_of("https://[::1]/") == ("https", "::1", 443)


@settings(max_examples=50)
@given(st.text(max_size=20))
def test_whatever_stands_for_a_host_has_a_form_or_none(host):
    form = canonical_url(f"http://{host}/")
    assert form is None or (canonical_url(form) == form and site_of(form))


def test_the_port_tells_sites_apart_but_not_the_scheme():
    assert site_of("http://a.example/x") == site_of("https://a.example/") == "a.example"
    assert site_of("http://a.example:8080/") == "a.example:8080"


@pytest.mark.parametrize("name", ["..", "a" * 64])
def test_a_name_that_is_none_has_no_address(name):
    with pytest.raises(OSError, match="is no name"):
        resolve(name, 80)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "2002:a00:1::1", "2001:0:808:808::80ff:fffe", "2001:0:a00:1::f7f7:f7f7"),
        *("64:ff9b:1::808:808", "64:ff9b:1:ffff::1", "64:ff9b::a00:1", "fec0::1", "feff::1"),
        *("::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "::ffff:0:10.0.0.1"),
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "::ffff:0:8.8.8.8"]
)
def test_addresses_that_are_public(address):
    assert is_public(address)
