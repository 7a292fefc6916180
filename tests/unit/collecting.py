"""Sources as the configuration gives them, and what is collected from them."""

import json
from pathlib import Path

from kalam.corpus.collect import collect

COMMON = {
    "register": "verse",
    "licence": "CC0",
    "author": "অজানা",
    "retrieved": None,
    "max_records": None,
    "strategy": "first",
    "extraction": "article",
}
FILES = {**COMMON, "kind": "files", "fields": {}, "group_by": "field", "retrieved": "2020-02-23"}
HUB = {**COMMON, "kind": "hub", "revision": "main", "subset": None, "split": "train", "fields": {}, "group_by": "field"}
SITE = {
    **COMMON,
    "kind": "site",
    "start": ["http://bangla.localhost/"],
    "serve": "site",
    "max_pages": 100,
    "max_depth": 8,
    "delay": 0,
    "retries": 0,
    "timeout": 5,
    "private_addresses": False,
    "user_agent": "kalam-crawler",
}
POEM = "র‍্যাব এল ভোরের আগে নদীর ধারে,\nশাঁখ বাজে দূরে, বৃষ্টি পড়ে বারে বারে।"


def write(path: Path, text: str | bytes | list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, list):
        text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in text)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", errors="surrogatepass"))
    return path


def gather(source: dict, root: Path, seed: int = 20) -> tuple[list[dict], list[dict]]:
    """(documents, what was dropped and why)"""
    documents, dropped = [], []
    for item, reason in collect(source, "kobita", "bn", seed, root, root / "store"):
        documents.append(item) if reason is None else dropped.append({**item, **reason})
    return documents, dropped


def html(*paragraphs: str, links: tuple[str, ...] = (), title: str = "নদী") -> str:
    anchors = "".join(f'<a href="{link}">পরের</a> ' for link in links)
    body = "".join(f"<p>{text.replace(chr(10), '<br>')}</p>" for text in paragraphs)
    head = f"<!DOCTYPE html><html><head><title>{title}</title></head>"
    return f"{head}<body><nav>{anchors}</nav><article>{body}</article></body></html>"


def outputs(root: Path) -> dict[str, Path]:
    return {name: root / "out" / f"{name}.json" for name in ("documents", "dropped", "counts")}
