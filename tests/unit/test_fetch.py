"""Fetching over real loopback HTTP: what is allowed, how long it waits, what it gives up on."""

import email.utils
import gzip
import shutil
import subprocess
import threading
import time
import zlib
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path

import pyarrow
import pytest
from scripted_server import Answer, Clock, scripted

from kalam.web.addresses import canonical_url
from kalam.web.connections import FetchError
from kalam.web.fetcher import Fetcher
from kalam.web.serving import FolderHandler

SITE = "http://bangla.localhost"


def fetcher_to(server, **settings):
    clock = Clock()
    settings = {"delay": 0, "retries": 2, "timeout": 5, "clock": clock, "sleep": clock.sleep, **settings}
    return Fetcher("kalam-crawler", connect_to={"bangla.localhost": server.address}, **settings), clock


def refusal(fetcher, url, **options) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(url, **options)
    return caught.value


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::ffff:7f00:1]/"]
)
def test_a_private_address_is_refused_however_it_is_written(url):
    error = refusal(Fetcher("kalam-crawler", retries=0), url)
    assert error.kind == "forbidden" and str(error).startswith("private address: ")


def test_one_private_address_among_public_ones_is_enough():
    fetcher = Fetcher("kalam-crawler", retries=0, resolve=lambda *_: ["8.8.8.8", "10.0.0.1"])
    assert str(refusal(fetcher, "http://mixed.example/")) == "private address: 10.0.0.1"


def test_a_name_cannot_change_its_address_after_the_check():
    with scripted({"/": Answer("এক")}) as server:
        answers = [["127.0.0.1"], ["10.255.255.1"]]
        asked = []

        def rebinding(host, port):
            asked.append(host)
            return answers[min(len(asked), 2) - 1]

        fetcher = Fetcher("kalam-crawler", 0, 0, 5, private_addresses=True, resolve=rebinding)
        url = f"http://rebinding.example:{server.address[1]}/"
        assert fetcher.fetch(url).body.decode() == "এক"
        assert fetcher.fetch(url).body.decode() == "এক"
        assert asked == ["rebinding.example"]
        assert server.requests[0][1]["Host"] == f"rebinding.example:{server.address[1]}"


def test_the_next_address_is_tried_where_the_first_is_dead():
    with scripted({"/": Answer("এক")}) as server:
        dead = ThreadingHTTPServer(("127.0.0.2", 0), FolderHandler)
        dead.server_close()
        resolve = lambda *_: ["127.0.0.2", "127.0.0.1"]  # noqa: E731
        fetcher = Fetcher("kalam-crawler", 0, 0, 5, private_addresses=True, resolve=resolve)
        assert fetcher.fetch(f"http://two.example:{server.address[1]}/").status == 200


def test_a_name_without_an_address_is_unreachable_after_its_retries():
    def resolve(host, port):
        raise OSError("unknown name")

    clock = Clock()
    fetcher = Fetcher("kalam-crawler", 0, 2, 5, resolve=resolve, clock=clock, sleep=clock.sleep)
    assert refusal(fetcher, "http://nowhere.example/").kind == "unreachable"
    assert clock.slept == [1, 2]


def test_robots_txt_is_read_once_and_obeyed():
    rules = "User-agent: *\nDisallow: /gopon/\nAllow: /gopon/khola\n"
    with scripted({"/robots.txt": Answer(rules), "/": Answer("ক"), "/gopon/khola": Answer("খ")}) as server:
        fetcher, _ = fetcher_to(server)
        assert fetcher.fetch(f"{SITE}/").body.decode() == "ক"
        assert fetcher.fetch(f"{SITE}/gopon/khola").body.decode() == "খ"
        error = refusal(fetcher, f"{SITE}/gopon/kobita")
        assert (str(error), error.kind) == ("robots.txt forbids", "forbidden")
        assert [path for path, _ in server.requests] == ["/robots.txt", "/", "/gopon/khola"]


def test_rules_for_this_crawler_are_those_of_its_name():
    rules = "User-agent: kalam-crawler\nDisallow: /\n\nUser-agent: *\nDisallow:\n"
    with scripted({"/robots.txt": Answer(rules), "/": Answer("ক")}) as server:
        assert str(refusal(fetcher_to(server)[0], f"{SITE}/")) == "robots.txt forbids"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=503), "no robots.txt: status 503"),
        (Answer(status=429), "no robots.txt: status 429"),
        (Answer(hang_up=True), "no robots.txt: no answer: ProtocolError"),
        (
            Answer(status=302, headers={"Location": "http://10.0.0.1/robots.txt"}),
            "no robots.txt: private address: 10.0.0.1",
        ),
    ],
)
def test_without_an_answer_to_robots_txt_nothing_is_fetched(answer, reason):
    with scripted({"/robots.txt": answer, "/": Answer("ক")}) as server:
        fetcher, _ = fetcher_to(server)
        assert str(refusal(fetcher, f"{SITE}/")) == reason
        assert str(refusal(fetcher, f"{SITE}/")) == reason
        assert server.paths == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_robots_txt_allows_everything(status):
    with scripted({"/robots.txt": Answer(status=status), "/": Answer("ক")}) as server:
        assert fetcher_to(server)[0].fetch(f"{SITE}/").status == 200


@pytest.mark.parametrize(("own", "theirs", "waited"), [(1, 7, 7), (9, 7, 9), (0, 0, None)])
def test_requests_to_a_host_are_apart(own, theirs, waited):
    rules = f"User-agent: *\nCrawl-delay: {theirs}\n"
    with scripted({"/robots.txt": Answer(rules), "/": Answer("ক")}) as server:
        fetcher, clock = fetcher_to(server, delay=own)
        for _ in range(3):
            fetcher.fetch(f"{SITE}/")
        assert clock.slept == ([] if waited is None else [waited] * 3)


def test_a_crawl_delay_is_told(caplog):
    with scripted({"/robots.txt": Answer("User-agent: *\nCrawl-delay: 90\n"), "/": Answer("ক")}) as server:
        with caplog.at_level("INFO"):
            fetcher_to(server)[0].fetch(f"{SITE}/")
        assert "bangla.localhost: robots.txt asks for 90 s between requests" in caplog.messages


@pytest.mark.parametrize("seconds", ["601", "86400", "99999999999999999999"])
def test_a_crawl_delay_may_be_too_long(seconds):
    with scripted({"/robots.txt": Answer(f"User-agent: *\nCrawl-delay: {seconds}\n"), "/": Answer("ক")}) as server:
        fetcher, clock = fetcher_to(server)
        for _ in range(2):
            error = refusal(fetcher, f"{SITE}/")
            assert str(error).startswith("no robots.txt: Crawl-delay over 600 s: ") and error.kind == "forbidden"
        assert server.paths == [] and clock.slept == []


def test_another_port_is_another_host():
    rules = Answer("User-agent: *\nCrawl-delay: 5\nDisallow: /gopon\n")
    with scripted({"/robots.txt": rules, "/": Answer("ক")}) as one, scripted({"/gopon": Answer("খ")}) as other:
        clock = Clock()
        options = {"private_addresses": True, "resolve": lambda *_: ["127.0.0.1"]}
        fetcher = Fetcher("kalam-crawler", 0, 0, 5, clock=clock, sleep=clock.sleep, **options)
        first, second = (f"http://a.example:{server.address[1]}" for server in (one, other))
        assert fetcher.fetch(f"{first}/").status == fetcher.fetch(f"{second}/gopon").status == 200
        assert clock.slept == [5]
        sites = {f"a.example:{one.address[1]}"}
        assert str(refusal(fetcher, f"{second}/gopon", sites=sites)) == "redirect to another host"


def test_time_that_has_passed_counts_as_waiting():
    with scripted({"/": Answer("ক")}) as server:
        fetcher, clock = fetcher_to(server, delay=5)
        fetcher.fetch(f"{SITE}/")
        clock.time += 3
        fetcher.fetch(f"{SITE}/")
        assert clock.slept == [5, 2]


def test_a_busy_server_is_tried_again_later_and_later():
    with scripted({"/": [Answer(status=503), Answer(status=500), Answer("ক")]}) as server:
        fetcher, clock = fetcher_to(server)
        assert fetcher.fetch(f"{SITE}/").body.decode() == "ক"
        assert clock.slept == [1, 2]


def test_retry_after_is_waited_for_in_seconds_and_as_a_date():
    in_an_hour = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    answers = [
        Answer(status=429, headers={"Retry-After": "30"}),
        Answer(status=503, headers={"Retry-After": in_an_hour}),
        Answer("ক"),
    ]
    with scripted({"/": answers}) as server:
        fetcher, clock = fetcher_to(server)
        assert fetcher.fetch(f"{SITE}/").status == 200
        assert clock.slept[0] == 30 and 60 < clock.slept[1] <= 100


def test_a_day_is_too_long_to_wait():
    with scripted({"/": Answer(status=429, headers={"Retry-After": "86400"})}) as server:
        fetcher, clock = fetcher_to(server)
        error = refusal(fetcher, f"{SITE}/")
        assert "asks to wait" in str(error) and error.kind == "unreachable" and clock.slept == []


@pytest.mark.parametrize("when", ["Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000, "soon", "-5"])
def test_a_retry_after_that_says_no_time_is_passed_over(when):
    with scripted({"/": [Answer(status=503, headers={"Retry-After": when}), Answer("ক")]}) as server:
        fetcher, clock = fetcher_to(server)
        assert fetcher.fetch(f"{SITE}/").status == 200
        assert clock.slept == [1]


def endlessly(piece: bytes, first: bytes = b""):
    yield first
    while True:
        time.sleep(0.01)
        yield piece


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        endlessly(b"H", b"HTTP/1.1 200 "),
        endlessly(b"x", HEAD + b"X-Slow: "),
        endlessly(b"HTTP/1.1 100 Continue\r\n\r\n"),
        endlessly(b"x", HEAD + b"\r\n"),
        endlessly(b"x", HEAD + b"Content-Length: 100000\r\n\r\n"),
        endlessly(b"0", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
        endlessly(b"1\r\nx\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["status", "header", "continue", "body", "body of a length", "length of a chunk", "chunks"],
)
def test_a_server_that_trickles_is_ended_by_the_clock(raw, monkeypatch):
    monkeypatch.setattr("kalam.web.connections.REQUEST_TIMEOUTS", 0.01)
    with scripted({"/robots.txt": Answer(status=404), "/": Answer(raw=raw)}) as server:
        fetcher, _ = fetcher_to(server, timeout=20)
        error = refusal(fetcher, f"{SITE}/")
        assert (str(error), error.kind) == ("too slow: over 0.2 s", "unreachable")


PACKED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: pyarrow.compress(body, codec="brotli", asbytes=True),
    "zstd": lambda body: pyarrow.compress(body, codec="zstd", asbytes=True),
    "gzip, br": lambda body: pyarrow.compress(gzip.compress(body), codec="brotli", asbytes=True),
    "identity": bytes,
}
POEM = "".join(f"<p>{n} নদীর ধারে বৃষ্টি পড়ে</p>" for n in range(500)).encode()


@pytest.mark.parametrize("coding", PACKED)
def test_packed_pages_are_unpacked_however_they_were_packed(coding):
    with scripted({"/": Answer(PACKED[coding](POEM), headers={"Content-Encoding": coding.upper()})}) as server:
        assert fetcher_to(server)[0].fetch(f"{SITE}/").body == POEM


def test_raw_deflate_members_and_what_is_appended_are_unpacked_too():
    raw = zlib.compressobj(wbits=-15)
    answers = {
        "/raw": Answer(raw.compress(POEM) + raw.flush(), headers={"Content-Encoding": "deflate"}),
        "/two": Answer(gzip.compress(POEM[:99]) + gzip.compress(POEM[99:]), headers={"Content-Encoding": "gzip"}),
        "/more": Answer(gzip.compress(POEM) + b"\0\0 something", headers={"Content-Encoding": "gzip"}),
        "/none": Answer(headers={"Content-Encoding": "gzip"}),
    }
    with scripted(answers) as server:
        fetcher, _ = fetcher_to(server)
        assert [fetcher.fetch(f"{SITE}{path}").body for path in answers] == [POEM, POEM, POEM, b""]


@pytest.mark.parametrize("coding", [coding for coding in PACKED if coding != "identity"])
@pytest.mark.parametrize("share", [0.1, 0.6, 1])
def test_a_packed_page_that_is_cut_short_is_tried_again_and_no_page(coding, share):
    packed = PACKED[coding](POEM)
    cut = packed[: min(int(share * len(packed)), len(packed) - 1)]
    whole = Answer(packed, headers={"Content-Encoding": coding})
    broken = Answer(raw=[b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding.encode() + b"\r\n\r\n", cut])
    with scripted({"/": [broken, broken, whole], "/cut": broken}) as server:
        fetcher, clock = fetcher_to(server)
        assert fetcher.fetch(f"{SITE}/").body == POEM and clock.slept == [1, 2]
        error = refusal(fetcher, f"{SITE}/cut")
        assert (str(error), error.kind) == ("broken answer: DecodeError", "failed")
        assert server.paths.count("/cut") == 3


@pytest.mark.parametrize("coding", ["compress", "br, exi", "নেই".encode().decode("latin-1")])
def test_a_coding_that_is_not_known_is_named(coding):
    with scripted({"/": Answer(b"x", headers={"Content-Encoding": coding})}) as server:
        assert str(refusal(fetcher_to(server)[0], f"{SITE}/")) == f"not unpacked: Content-Encoding {coding}"


@pytest.mark.parametrize(
    ("answer", "reason", "kind"),
    [
        (Answer(status=404), "status 404", "failed"),
        (Answer(status=500), "status 500", "failed"),
        (Answer(status=429), "status 429", "unreachable"),
        (Answer(hang_up=True), "no answer: ProtocolError", "unreachable"),
        (Answer("অর্ধেক", length=1000), "broken answer: ProtocolError", "failed"),
        (Answer(b"no gzip", headers={"Content-Encoding": "gzip"}), "broken answer: DecodeError", "failed"),
        (Answer("x", type="application/pdf"), "not HTML: application/pdf", "failed"),
        (Answer("x", type=None), "not HTML: no media type", "failed"),
        (Answer(b"x" * 2000), "too large: over 0.001 MB", "failed"),
        (Answer(status=302), "more than 5 redirects", "failed"),
        (Answer(status=304), "status 304", "failed"),
    ],
)
def test_what_gives_no_page_has_its_reason(answer, reason, kind):
    with scripted({"/": answer}) as server:
        fetcher, _ = fetcher_to(server, max_bytes=1000)
        error = refusal(fetcher, f"{SITE}/", types={"text/html": "HTML"})
        assert (str(error), error.kind) == (reason, kind)


@pytest.mark.parametrize("coding", PACKED)
def test_a_bomb_is_not_unpacked(coding):
    bomb = PACKED[coding](bytes(10_000_000))
    with scripted({"/": Answer(bomb, headers={"Content-Encoding": coding})}) as server:
        fetcher, _ = fetcher_to(server, max_bytes=1_000_000)
        assert str(refusal(fetcher, f"{SITE}/")) == "too large: over 1 MB"


def test_packed_pages_are_unpacked():
    with scripted({"/": Answer(gzip.compress("র‍্যাব".encode()), headers={"Content-Encoding": "gzip"})}) as server:
        assert fetcher_to(server)[0].fetch(f"{SITE}/").body.decode() == "র‍্যাব"


def test_redirects_are_followed_to_their_end():
    path = "/কবিতা".encode().decode("latin-1")  # bare UTF-8 in a header
    end = canonical_url(f"{SITE}/কবিতা")
    answers = {
        "/a": Answer(status=301, headers={"Location": "/b"}),
        "/b": Answer(status=308, headers={"Location": path}),
        end.removeprefix(SITE): Answer("ক"),
    }
    with scripted(answers) as server:
        response = fetcher_to(server)[0].fetch(f"{SITE}/a")
        assert (response.url, response.body.decode()) == (end, "ক")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", "private address: 10.0.0.1"),
        ("http://127.0.0.1:{port}/", "private address: 127.0.0.1"),
        ("http://[::1]/", "private address: ::1"),
        ("ftp://bangla.localhost/", "not an http or https URL"),
        ("file:///etc/passwd", "not an http or https URL"),
        ("/gopon", "robots.txt forbids"),
    ],
)
def test_a_redirect_is_checked_like_any_url(location, reason):
    answers = {"/robots.txt": Answer("User-agent: *\nDisallow: /gopon\n")}
    with scripted(answers) as server:
        answers["/"] = Answer(status=302, headers={"Location": location.format(port=server.address[1])})
        error = refusal(fetcher_to(server)[0], f"{SITE}/")
        assert (str(error), error.kind) == (reason, "forbidden")
        assert server.paths == ["/"]


def test_a_redirect_leaves_the_hosts_only_where_it_may():
    answers = {"/": Answer(status=302, headers={"Location": "http://other.localhost/"})}
    with scripted(answers) as server:
        fetcher, _ = fetcher_to(server)
        assert str(refusal(fetcher, f"{SITE}/", sites={"bangla.localhost"})) == "redirect to another host"


def test_a_page_known_before_is_asked_for_conditionally():
    with scripted({"/": Answer("ক", headers={"ETag": '"1"'})}) as server:
        fetcher, _ = fetcher_to(server)
        known = {"url": f"{SITE}/", "etag": '"1"', "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        response = fetcher.fetch(f"{SITE}/", known)
        assert (response.status, response.body) == (304, b"")
        assert server.requests[-1][1]["If-Modified-Since"] == known["last_modified"]
        assert fetcher.fetch(f"{SITE}/", {**known, "etag": '"0"'}).status == 200


def test_a_validator_is_not_sent_to_another_url():
    with scripted({"/": Answer("ক", headers={"ETag": '"1"'})}) as server:
        known = {"url": f"{SITE}/old", "etag": '"1"', "last_modified": None}
        assert fetcher_to(server)[0].fetch(f"{SITE}/", known).status == 200


def test_https_is_checked_against_the_name_not_the_address(tmp_path: Path, monkeypatch):
    import ssl

    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=bangla.localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:bangla.localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "index.html").write_text("নিরাপদ", encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names = []
    context.sni_callback = lambda socket, name, _: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: FolderHandler(*a, directory=str(tmp_path))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = server.server_address[:2]
        connect_to = {"bangla.localhost": address, "other.localhost": address}
        fetcher = Fetcher("kalam-crawler", 0, 0, 5, connect_to=connect_to)
        assert fetcher.fetch("https://bangla.localhost/").body.decode() == "নিরাপদ"
        assert names[0] == "bangla.localhost"
        assert "SSLError" in str(refusal(fetcher, "https://other.localhost/"))
        server.shutdown()
