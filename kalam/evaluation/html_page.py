"""The frame of a page for people: one file, no script, in the direction of the language."""

import html

from kalam.text.languages import language_row

PAGE = """<!DOCTYPE html>
<html lang="{language}" dir="{direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 17px/1.7 "Noto Sans", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Naskh Arabic", sans-serif;
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1rem; margin: 0 0 .4rem; color: #5b6875; }}
section {{ display: grid; grid-template-columns: repeat({columns}, minmax(0, 1fr)); gap: 1rem; margin: 1.5rem 0;
  padding-top: 1rem; border-top: 1px solid #d5dce3; }}
div.text {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
p.note {{ color: #5b6875; }}
@media (max-width: 50rem) {{ section {{ grid-template-columns: 1fr; }} }}
</style>
</head>
<body>
<h1 dir="ltr" lang="en">{title}</h1>
<p class="note" dir="ltr" lang="en">{note}</p>
{sections}
</body>
</html>
"""


def html_page(title: str, language: str, note: str, sections: str, columns: int) -> str:
    """The page; `sections` is HTML, title and note are escaped here."""
    return PAGE.format(
        title=html.escape(title),
        language=language,
        direction=language_row(language).direction,
        note=html.escape(note),
        sections=sections,
        columns=columns,
    )
