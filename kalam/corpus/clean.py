"""Normalisation and quality rules, none of which supposes English."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import regex

from kalam.corpus.conversations import spoken
from kalam.corpus.emptied import require_some_left
from kalam.data.filtering import Document, Reason, gather_filtered, write_filtered
from kalam.files.digests import digest_text
from kalam.files.jsonl import WHOLE, Shard, read_jsonl
from kalam.text.languages import language_row, script_fraction
from kalam.text.normalisation import normalise

logger = logging.getLogger(__name__)

Verdict = tuple[bool, Reason | None]
KEEP: Verdict = True, None
# The columns of a language's row that decide what a document becomes.
COLUMNS = ("direction", "ranges", "digits", "sentence_ends", "punctuation", "joiners", "normalise")
USUAL_PUNCTUATION = ".,;:!?…'\"‘’“”‹›«»()[]-‐–—/&%"


def clean_file(
    input: str | Path,
    kept: str | Path,
    dropped: str | Path,
    counts: str | Path,
    language: str,
    settings: dict[str, Any],
    shard: Shard = WHOLE,
    aside: str | Path | None = None,
) -> dict[str, Any]:
    """Clean one source, or a shard of it, row by row: what is kept, what is dropped with its reason, and the counts.

    Returns the counts {read, kept, dropped: {reason: n}}. Raises InputError where nothing is left of a whole source
    and its dropped rows are to be put `aside` then.
    """
    judged = (clean(row, language, settings) for row in read_jsonl(input, shard))
    figures = write_filtered(judged, kept, dropped, counts)
    logger.info("cleaned %s: kept %s of %s, dropped %s", input, figures["kept"], figures["read"], figures["dropped"])
    if aside:
        require_some_left(input, figures, dropped, aside, language)
    return figures


def gather_cleaned(
    shards: Mapping[str, Sequence[str | Path]],
    kept: str | Path,
    dropped: str | Path,
    counts: str | Path,
    language: str,
    aside: str | Path,
) -> None:
    """Put together what `clean_file` wrote of each shard of a source. Raises InputError as it does of a whole one."""
    require_some_left(kept, gather_filtered(shards, kept, dropped, counts), dropped, aside, language)


def clean(document: Document, language: str, settings: dict[str, Any]) -> tuple[Document, Reason | None]:
    """The cleaned document with None if it stays, else with the reason {reason, found, allowed}.

    `text` is normalised, `id` its digest, `script_fraction` measured; a document without a group
    is its own. Of a conversation each message is normalised, and they are its text. `settings` is the
    section `cleaning` of the config. The reasons are no_text,
    too_short, too_long, other_script, repeated_lines and symbols; the first that holds is given.
    """
    if not isinstance(document.get("text"), str):
        return document, _reason("no_text", type(document.get("text")).__name__, "str")
    normalised = _normalised(document, language)
    text = normalised["text"]
    identity = digest_text(text)
    cleaned = {
        **document,
        **normalised,
        "id": identity,
        "script_fraction": round(script_fraction(text, language), 4),
        "group": document.get("group") or identity,
    }
    for rule in RULES:
        keep, reason = rule(cleaned, language, settings)
        if not keep:
            return cleaned, reason
    return cleaned, None


def _normalised(document: Document, language: str) -> Document:
    if "messages" not in document:
        return {"text": normalise(document["text"], language)}
    messages = [{**each, "content": normalise(each["content"], language)} for each in document["messages"]]
    return {"messages": messages, "text": spoken(messages)}


def _reason(key: str, found: Any, allowed: Any) -> Reason:
    return {"reason": key, "found": round(found, 4) if isinstance(found, float) else found, "allowed": allowed}


def length(document: Document, language: str, settings: dict[str, Any]) -> Verdict:
    """Too few or too many characters."""
    found = len(document["text"])
    if found < settings["min_characters"]:
        return False, _reason("too_short", found, settings["min_characters"])
    if found > settings["max_characters"]:
        return False, _reason("too_long", found, settings["max_characters"])
    return KEEP


def own_script(document: Document, language: str, settings: dict[str, Any]) -> Verdict:
    """Too small a share of the language's script among letters and marks."""
    found, allowed = document["script_fraction"], settings["min_script_fraction"]
    return KEEP if found >= allowed else (False, _reason("other_script", found, allowed))


def repeated_lines(document: Document, language: str, settings: dict[str, Any]) -> Verdict:
    """Too large a share of characters in lines that repeat an earlier line; a refrain is allowed for."""
    lines = [line for line in document["text"].split("\n") if line]
    found = 1 - sum(map(len, set(lines))) / sum(map(len, lines)) if lines else 0.0
    allowed = settings["max_repeated_lines"]
    return KEEP if found <= allowed else (False, _reason("repeated_lines", found, allowed))


def symbols(document: Document, language: str, settings: dict[str, Any]) -> Verdict:
    """Too large a share of characters that are no letter, mark, digit, joiner, space or usual punctuation."""
    text = document["text"]
    found = sum(map(len, _unusual(language).findall(text))) / len(text) if text else 0.0
    allowed = settings["max_symbols"]
    return KEEP if found <= allowed else (False, _reason("symbols", found, allowed))


@cache
def _unusual(language: str) -> regex.Pattern:
    row = language_row(language)
    usual = regex.escape(USUAL_PUNCTUATION + row.sentence_ends + row.punctuation)
    return regex.compile(rf"[^\p{{L}}\p{{M}}\p{{N}}\u200c\u200d\s{usual}]+")


RULES: tuple[Callable[[Document, str, dict[str, Any]], Verdict], ...] = (length, own_script, repeated_lines, symbols)
