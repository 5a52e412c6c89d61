"""Where a vendor's own page sends the browser: it shows what to paste into the form in Slack.

Nothing happens by coming here. Only the form of whoever began in Slack can use what stands here, so
that a link which somebody was sent binds no account to a stranger.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

MOST = 2900  # characters; what is longer than the form takes is no code

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1rem;
         color: #1d1c1d; background: #fff }}
  code {{ display: block; padding: 1rem; border: 2px solid #1264a3; border-radius: .5rem;
         overflow-wrap: anywhere; user-select: all; font-size: 1rem }}
  p.note {{ color: #54535a; font-size: 1rem }}
  @media (prefers-color-scheme: dark) {{
    body {{ color: #e8e8e8; background: #1a1d21 }}  p.note {{ color: #b8b8bb }}
  }}
</style>
<h1>{title}</h1>
{said}
</html>
"""

_COPY = """<p>Copy this, and paste it into the form in Slack:</p>
<code>{shown}</code>
<p class="note">A click on it selects all of it. It works once, in the form that you opened yourself.</p>
<p class="note">Did somebody send you here? Close this page, and give nobody what stands in it.</p>"""

_REFUSED = """<p>The vendor says: {why}.</p>
<p class="note">Nothing was linked. In Slack, the form is still open: sign in from there once more.</p>"""

_NOTHING = """<p>Nothing came back from the vendor.</p>
<p class="note">In Slack, <b>/amend link</b> opens the form to begin from.</p>"""


def page(query: Mapping[str, str]) -> str:
    """The page for an answer of a vendor's authorization server (RFC 6749, 4.1.2 and 4.1.2.1)."""
    code, state, error = (query.get(name, "") for name in ("code", "state", "error"))
    shown = f"{code}.{state}"
    if code and state and len(shown) <= MOST:
        return _PAGE.format(title="Almost there", said=_COPY.format(shown=html.escape(shown)))
    if error:
        said = _REFUSED.format(why=html.escape(error[:200]))
        return _PAGE.format(title="Not signed in", said=said)
    return _PAGE.format(title="Nothing to copy", said=_NOTHING)
