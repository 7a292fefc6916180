"""What each kind of source holds: a site, local files, a dataset of a hub, ready-made splits."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

from kalam.corpus.extract import NothingToKeep, extract
from kalam.corpus.hub import items_of, load
from kalam.corpus.items import Item, Source
from kalam.data.inputs import PAGES, folder_files, matched_files
from kalam.data.limits import in_turn
from kalam.data.reading import read_rows
from kalam.data.ready_made import files_by_split, origin_of_splits, own_names
from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.opening import format_of, read_whole
from kalam.text.encoding import decode
from kalam.web.store import Store


def read_site(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The pages of a site, by URL. Raises InputError where a start URL is none or does not answer."""
    from kalam.web.addresses import origin_of
    from kalam.web.crawl import Refusal, crawl
    from kalam.web.fetcher import Fetcher
    from kalam.web.frontier import start_urls
    from kalam.web.links import HTML_TYPES
    from kalam.web.serving import serve_folder

    settings = source.settings
    start = start_urls(settings["start"])
    keys = ("user_agent", "delay", "retries", "timeout", "private_addresses")
    with ExitStack() as stack:
        connect_to, served = {}, ""
        if settings["serve"] is not None:
            folder = root / settings["serve"]
            folder_files("serve", settings["serve"], root)
            served = digest_folder(folder)
            connect_to = {origin_of(start[0])[1]: stack.enter_context(serve_folder(folder))}
        store.begin(served)
        fetcher = Fetcher(**{key: settings[key] for key in keys}, connect_to=connect_to)
        pages, depth = settings["max_pages"], settings["max_depth"]
        for page in crawl(fetcher, store, start, HTML_TYPES, pages, depth):
            place = {"url": page.url}
            if isinstance(page, Refusal):
                yield Item(place, reason=page.reason)
                continue
            # files in a served folder were obtained when the configuration says, if it says so
            retrieved = (served and settings["retrieved"]) or page.retrieved
            yield _from_page(source, place, page.body, page.content_type, url=page.url, retrieved=retrieved)


def read_files(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The documents of files with text, rows or pages, by path.

    Raises InputError as `matched_files`, `read_rows` and `Source.row` do.
    """
    source.check_fields()
    for path in matched_files(source.settings["paths"], root):
        yield from _from_file(source, path, root)


def read_hub(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The rows of a dataset, streamed. A token is taken by the library itself from HF_TOKEN.

    Raises InputError where the dataset cannot be read.
    """
    source.check_fields()
    dataset = load(source.settings, root, split=source.settings["split"])
    yield from items_of(source, dataset, source.settings["dataset"])


def read_splits(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The documents of ready-made splits, a folder's or a dataset's, each with its `split`.

    The splits take turns, so the first so many documents are of all three.
    Raises InputError where not all three splits are there, or others are, and as `read_files` and `read_hub` do.
    """
    settings = source.settings
    source.check_fields()
    if origin_of_splits(settings) == "folder":
        splits = {
            split: chain.from_iterable(_from_file(source, path, root) for path in paths)
            for split, paths in files_by_split(settings["folder"], root).items()
        }
    else:
        name = settings["dataset"]
        dataset = load(settings, root)
        splits = {
            split: items_of(source, dataset[own], f"{name}/{own}")
            for split, own in own_names(f"dataset: {name}", dataset).items()
        }
    yield from in_turn(map(_in_split, items, repeat(split)) for split, items in splits.items())


READERS = {"site": read_site, "files": read_files, "hub": read_hub, "splits": read_splits}


def _in_split(item: Item, split: str) -> Item:
    return item if item.document is None else replace(item, document={**item.document, "split": split})


def _from_file(source: Source, path: str, root: Path) -> Iterator[Item]:
    form = format_of(path)
    if not source.texts and form in (*PAGES, ".txt"):
        raise InputError(f"{path}: found {form}, a text; allowed are files of rows")
    if form in PAGES or (form == ".txt" and source.settings["document"] == "file"):
        body = read_whole(root / path, source.settings["max_bytes"])
        yield _from_page(source, {"path": path}, body) if form in PAGES else _from_text(source, path, body)
    elif form == ".txt":
        for line, row in read_rows(root / path):
            yield source.row({source.columns["text"]: row["text"]}, {"path": path, "row": line}, path)
    else:
        for number, row in read_rows(root / path, source.required, source.columns.values()):
            yield source.row(row, {"path": path, "row": number}, path)


def _from_text(source: Source, path: str, body: bytes) -> Item:
    try:
        text = "\n".join(line.rstrip() for line in decode(body).split("\n")).strip()
    except UnicodeError as error:
        return Item({"path": path}, reason=str(error))
    if not text:
        return Item({"path": path}, reason="no text")
    first, blank, rest = text.partition("\n\n")
    titled = source.settings["title"] == "first_line" and blank and "\n" not in first
    title, text = (first.strip(), rest.strip()) if titled else (None, text)
    return Item({"path": path}, source.document(text, path, title=title))


def _from_page(source: Source, place: dict[str, str], body: bytes, content_type: str | None = None, **own) -> Item:
    url = own.get("url")
    try:
        article = extract(body, source.settings["extraction"], content_type, url)
    except NothingToKeep as reason:
        return Item(place, reason=str(reason))
    (group,) = place.values()
    return Item(place, source.document(article.text, group, title=article.title, author=article.author, **own))
