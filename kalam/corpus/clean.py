"""Normalisation and quality rules, none of which supposes English."""

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import regex

from kalam.data.filtering import Document, Reason, write_filtered
from kalam.files.digests import digest_text
from kalam.files.jsonl import read_jsonl
from kalam.text.normalisation import normalise
from kalam.text.scripts import script, script_fraction

logger = logging.getLogger(__name__)

Verdict = tuple[bool, Reason | None]
KEEP: Verdict = True, None
USUAL_PUNCTUATION = ".,;:!?…'\"‘’“”‹›«»()[]-‐–—/&%"


def clean_file(
    input: str | Path,
    kept: str | Path,
    dropped: str | Path,
    counts: str | Path,
    language: str,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Clean one source row by row into what is kept, what is dropped with its reason, and the counts.

    Returns the counts {read, kept, dropped: {reason: n}}.
    """
    figures = write_filtered((clean(row, language, settings) for row in read_jsonl(input)), kept, dropped, counts)
    logger.info("cleaned %s: kept %s of %s, dropped %s", input, figures["kept"], figures["read"], figures["dropped"])
    return figures


def clean(document: Document, language: str, settings: dict[str, Any]) -> tuple[Document, Reason | None]:
    """The cleaned document with None if it stays, else with the reason {reason, found, allowed}.

    `text` is normalised, `id` its digest, `script_fraction` measured; a document without a group
    is its own. `settings` is the section `cleaning` of the config. The reasons are no_text,
    too_short, too_long, other_script, repeated_lines and symbols; the first that holds is given.
    """
    if not isinstance(document.get("text"), str):
        return document, _reason("no_text", type(document.get("text")).__name__, "str")
    text = normalise(document["text"], language)
    identity = digest_text(text)
    cleaned = {
        **document,
        "id": identity,
        "text": text,
        "script_fraction": round(script_fraction(text, language), 4),
        "group": document.get("group") or identity,
    }
    for rule in RULES:
        keep, reason = rule(cleaned, language, settings)
        if not keep:
            return cleaned, reason
    return cleaned, None


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
    usual = regex.escape(USUAL_PUNCTUATION + script(language).punctuation)
    return regex.compile(rf"[^\p{{L}}\p{{M}}\p{{N}}\u200c\u200d\s{usual}]+")


RULES: tuple[Callable[[Document, str, dict[str, Any]], Verdict], ...] = (length, own_script, repeated_lines, symbols)
