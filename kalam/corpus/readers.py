"""What each kind of source holds: a site, local files, a dataset of a hub."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kalam.corpus.extract import NothingToKeep, extract
from kalam.corpus.items import Found, Source, check_fields
from kalam.data.inputs import folder_files, matched_files
from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.text.encoding import decode
from kalam.web.store import Store

HTML = (".html", ".htm", ".xhtml")


def read_site(source: Source, root: Path, store: Store) -> Iterator[Found]:
    """The pages of a site, by URL. Raises InputError where a start URL does not answer."""
    from kalam.web.addresses import origin_of
    from kalam.web.crawl import Refusal, crawl
    from kalam.web.fetcher import Fetcher
    from kalam.web.serving import serve_folder

    settings = source.settings
    keys = ("user_agent", "delay", "retries", "timeout", "private_addresses")
    with ExitStack() as stack:
        connect_to, served = {}, ""
        if settings["serve"] is not None:
            folder = root / settings["serve"]
            folder_files("serve", settings["serve"], root)
            served = digest_folder(folder)
            connect_to = {origin_of(settings["start"][0])[1]: stack.enter_context(serve_folder(folder))}
        store.begin(served)
        fetcher = Fetcher(**{key: settings[key] for key in keys}, connect_to=connect_to)
        for page in crawl(fetcher, store, settings["start"], settings["max_pages"], settings["max_depth"]):
            place = {"url": page.url}
            if isinstance(page, Refusal):
                yield Found(place, reason=page.reason)
                continue
            # files in a served folder were obtained when the configuration says, if it says so
            retrieved = (served and settings["retrieved"]) or page.retrieved
            yield _from_page(source, place, page.body, page.content_type, url=page.url, retrieved=retrieved)


def read_files(source: Source, root: Path, store: Store) -> Iterator[Found]:
    """The documents of text, JSONL and HTML files, by path.

    Raises InputError for a file of another kind, and for a line that is no JSON object.
    """
    check_fields(source.settings["fields"])
    paths = matched_files(source.settings["paths"], root)
    for path in paths:
        if Path(path).suffix not in (".txt", ".jsonl", *HTML):
            raise InputError(f"paths: {path}: only .txt, .jsonl, {', '.join(HTML)} files are read")
    for path in paths:
        if path.endswith(".jsonl"):
            for line, row in zip(_lines(root / path), read_jsonl(root / path), strict=False):
                yield source.row(row, {"path": path, "row": line}, path)
        elif path.endswith(".txt"):
            yield _from_text(source, path, (root / path).read_bytes())
        else:
            yield _from_page(source, {"path": path}, (root / path).read_bytes())


def read_hub(source: Source, root: Path, store: Store) -> Iterator[Found]:
    """The rows of a dataset, streamed. A token is taken by the library itself from HF_TOKEN.

    Raises InputError where the dataset cannot be had.
    """
    settings = source.settings
    check_fields(settings["fields"])
    name = settings["dataset"]
    for number, row in enumerate(_streamed(settings, root), start=1):
        yield source.row(row, {"dataset": name, "row": number}, name)


READERS = {"site": read_site, "files": read_files, "hub": read_hub}


def _streamed(settings: Mapping[str, Any], root: Path) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    name, revision = settings["dataset"], settings["revision"]
    folder = root / name
    where = str(folder) if folder.is_dir() else name
    try:
        yield from load_dataset(where, settings["subset"], split=settings["split"], revision=revision, streaming=True)
    except Exception as error:  # the library and its clients raise some dozen kinds
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"dataset: {name} at {revision} cannot be had: {said}") from None


def _lines(path: Path) -> Iterator[int]:
    """The numbers of the lines that hold a row."""
    with open(path, "rb") as handle:
        yield from (number for number, line in enumerate(handle, start=1) if line.strip())


def _from_text(source: Source, path: str, body: bytes) -> Found:
    try:
        text = "\n".join(line.rstrip() for line in decode(body).split("\n")).strip()
    except UnicodeError as error:
        return Found({"path": path}, reason=str(error))
    if not text:
        return Found({"path": path}, reason="no text")
    first, blank, rest = text.partition("\n\n")
    titled = blank and "\n" not in first
    title, text = (first.strip(), rest.strip()) if titled else (None, text)
    return Found({"path": path}, source.document(text, path, title=title))


def _from_page(source: Source, place: dict[str, str], body: bytes, content_type: str | None = None, **own) -> Found:
    url = own.get("url")
    try:
        article = extract(body, source.settings["extraction"], content_type, url)
    except NothingToKeep as reason:
        return Found(place, reason=str(reason))
    (group,) = place.values()
    return Found(place, source.document(article.text, group, title=article.title, author=article.author, **own))
