"""A check of the built site: its pages load nothing from another host."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
_NO_LOAD = {"canonical", "prev", "next"}


def on_post_build(config: MkDocsConfig) -> None:
    """Raise for the first page that would."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        parser = _Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        if parser.found:
            raise PluginError(f"{page}: loads {parser.found[0]} from another host; a page brings all that it needs")


class _Loads(HTMLParser):
    """Addresses with a host that a browser loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        given = dict(attrs)
        address = given.get(_LOADED.get(tag, ""), "") or ""
        if address.startswith(("http:", "https:", "//")) and given.get("rel") not in _NO_LOAD:
            self.found.append(address)
