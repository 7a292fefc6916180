"""What each kind of source holds: a site, local files, a dataset of a hub, ready-made splits."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

from kalam.corpus.extract import NothingToKeep, extract
from kalam.corpus.hub import items_of, load
from kalam.corpus.items import Item, Source, check_fields
from kalam.data.inputs import folder_files, matched_files
from kalam.data.limits import in_turn
from kalam.data.ready_made import files_by_split, origin_of_splits, own_names
from kalam.files.digests import digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl
from kalam.text.encoding import decode
from kalam.web.store import Store

HTML = (".html", ".htm", ".xhtml")


def read_site(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The pages of a site, by URL. Raises InputError where a start URL does not answer."""
    from kalam.web.addresses import origin_of
    from kalam.web.crawl import Refusal, crawl
    from kalam.web.fetcher import Fetcher
    from kalam.web.links import HTML_TYPES
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
        pages, depth = settings["max_pages"], settings["max_depth"]
        for page in crawl(fetcher, store, settings["start"], HTML_TYPES, pages, depth):
            place = {"url": page.url}
            if isinstance(page, Refusal):
                yield Item(place, reason=page.reason)
                continue
            # files in a served folder were obtained when the configuration says, if it says so
            retrieved = (served and settings["retrieved"]) or page.retrieved
            yield _from_page(source, place, page.body, page.content_type, url=page.url, retrieved=retrieved)


def read_files(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The documents of text, JSONL and HTML files, by path.

    Raises InputError for a file of another kind, and for a line that is no JSON object.
    """
    check_fields(source.settings["fields"])
    paths = matched_files(source.settings["paths"], root)
    for path in paths:
        if Path(path).suffix not in (".txt", ".jsonl", *HTML):
            raise InputError(f"paths: {path}: only .txt, .jsonl, {', '.join(HTML)} files are read")
    for path in paths:
        yield from _from_file(source, path, root)


def read_hub(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The rows of a dataset, streamed. A token is taken by the library itself from HF_TOKEN.

    Raises InputError where the dataset cannot be read.
    """
    check_fields(source.settings["fields"])
    dataset = load(source.settings, root, split=source.settings["split"])
    yield from items_of(source, dataset, source.settings["dataset"])


def read_splits(source: Source, root: Path, store: Store) -> Iterator[Item]:
    """The documents of ready-made splits, a folder's or a dataset's, each with its `split`.

    The splits take turns, so the first so many documents are of all three. In a folder a text file
    is one document, as elsewhere, however its split is named: rows go into JSONL.
    Raises InputError where not all three splits are there, or others are, and as `read_files` and `read_hub` do.
    """
    settings = source.settings
    check_fields(settings["fields"])
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
    if path.endswith(".jsonl"):
        for line, row in zip(_lines(root / path), read_jsonl(root / path), strict=False):
            yield source.row(row, {"path": path, "row": line}, path)
    elif path.endswith(".txt"):
        yield _from_text(source, path, (root / path).read_bytes())
    else:
        yield _from_page(source, {"path": path}, (root / path).read_bytes())


def _lines(path: Path) -> Iterator[int]:
    """The numbers of the lines that hold a row."""
    with open(path, "rb") as handle:
        yield from (number for number, line in enumerate(handle, start=1) if line.strip())


def _from_text(source: Source, path: str, body: bytes) -> Item:
    try:
        text = "\n".join(line.rstrip() for line in decode(body).split("\n")).strip()
    except UnicodeError as error:
        return Item({"path": path}, reason=str(error))
    if not text:
        return Item({"path": path}, reason="no text")
    first, blank, rest = text.partition("\n\n")
    titled = blank and "\n" not in first
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
