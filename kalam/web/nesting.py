"""HTML whose elements are too deep in one another for a parser."""

import re
from collections import Counter

OPENING = re.compile(r"<!--|<(/?)([a-z][^\s/>]*)", re.IGNORECASE)
REST_OF_TAG = re.compile(r"""(?:=\s*+"[^"]*"|=\s*+'[^']*'|[^>])*+>""")
# what has no end tag, and what holds no elements
VOID = {"area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
RAW = {"script", "style", "textarea", "title", "iframe", "noembed", "xmp"}
INLINE = {"a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "mark", "q", "s", "small", "span"}
INLINE |= {"strong", "sub", "sup", "tt", "u"}


def flatten(text: str, depth: int) -> str:
    """A page without the tags of elements in more than `depth` others, in time proportional to its length.

    Where blocks met there is a line break. A link is left as an empty one before its text.
    """
    parts: list[str] = []
    names: list[str] = []  # of the open elements
    opened: Counter[str] = Counter()
    at = 0
    while start := OPENING.search(text, at):
        if start.start() > at:
            parts.append(text[at : start.start()])
        end = _end_of_tag(text, start)
        if end is None:
            at = start.start()
            break
        tag, closes, name = text[start.start() : end], bool(start[1]), (start[2] or "").lower()
        at = end
        if not name or name in VOID or name in RAW or tag.endswith("/>"):
            parts.append(tag)
        elif not closes:
            parts += [tag] if len(names) < depth else _instead(name, tag, parts)
            names.append(name)
            opened[name] += 1
        elif opened[name]:
            while True:
                last = names.pop()
                opened[last] -= 1
                if last == name:
                    break
            parts += [tag] if len(names) < depth else _instead(name, "", parts)
    return "".join([*parts, text[at:]])


def _end_of_tag(text: str, start: re.Match) -> int | None:
    """Where a comment, a tag or a whole element of raw text ends; None where the page does before."""
    if start[2] is None:
        end = text.find("-->", start.start() + 2)
        return None if end < 0 else end + 3
    rest = REST_OF_TAG.match(text, start.end())
    if rest and not start[1] and start[2].lower() in RAW:
        rest = re.compile(rf"</{start[2]}\b[^>]*>", re.IGNORECASE).search(text, rest.end())
    return rest and rest.end()


def _instead(name: str, tag: str, before: list[str]) -> list[str]:
    if name in INLINE:
        return [f"{tag}</a>"] if name == "a" and tag else []
    return [] if before[-1:] == ["<br>"] else ["<br>"]
