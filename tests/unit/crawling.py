"""A loopback site and the crawls of it, one after another."""

from dataclasses import dataclass
from pathlib import Path

from scripted_server import Answer, Clock, Server

from kalam.web.crawl import Page, Refusal, crawl
from kalam.web.fetcher import Fetcher
from kalam.web.links import HTML_TYPES
from kalam.web.store import Store

SITE = "http://bangla.localhost"


def page(*links: str, text: str = "কবিতা", head: str = "") -> Answer:
    anchors = "".join(f'<a href="{link}">পরের</a>' for link in links)
    return Answer(f"<!DOCTYPE html><html><head>{head}</head><body><p>{text}</p>{anchors}</body></html>")


@dataclass
class Site:
    """A server, the store of its crawls, and one crawl after another."""

    server: Server
    folder: Path
    hour: int = 0

    def crawl(
        self,
        start=("/",),
        types=HTML_TYPES,
        max_pages=100,
        max_depth=8,
        stop=None,
        served="",
        settings=None,
        finish=True,
    ):
        clock = Clock()
        settings = {"delay": 0, "retries": 0, "timeout": 5, "clock": clock, "sleep": clock.sleep, **(settings or {})}
        hosts = dict.fromkeys(["bangla.localhost", "www.bangla.localhost"], self.server.address)
        store = Store(self.folder)
        store.begin(served)
        self.hour += 1
        now = lambda: f"2026-01-01T{self.hour:02}:00:00Z"  # noqa: E731
        urls = [path if "://" in path else SITE + path for path in start]
        fetcher = Fetcher("kalam-crawler", connect_to=hosts, **settings)
        found = []
        for item in crawl(fetcher, store, urls, types, max_pages, max_depth, now):
            found.append(item)
            if len(found) == stop:
                raise KeyboardInterrupt
        if finish:
            store.finish()
        return found

    def asked(self) -> list[str]:
        """The pages asked for since the last look."""
        paths = self.server.paths
        self.server.requests.clear()
        return paths


def paths(found) -> list[str]:
    return [item.url.removeprefix(SITE) for item in found if isinstance(item, Page)]


def reasons(found) -> dict[str, str]:
    return {item.url.removeprefix(SITE): item.reason for item in found if isinstance(item, Refusal)}
