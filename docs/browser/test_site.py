"""The built site in a real browser: no dead link inside, no complaint, search, widths; `nox -s docs docs-browser`."""

from __future__ import annotations

import html.parser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from browser import Browser

PAGES = [
    "index.html",
    "guide/training.html",
    "coming_from/keras.html",
    "auto_gallery/index.html",
    "auto_gallery/06_ten_templates.html",
    "api/index.html",
    "api/fastmlp.MLP.html",
    "design.html",
    "benchmarks.html",
    "about/changelog.html",
]


class _Page(html.parser.HTMLParser):
    """The links of a page, and the places in it that links can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            elif value and name in ("id", "name"):
                self.places.add(value)


def test_no_link_inside_is_dead(html: Path) -> None:
    files = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]  # the theme's own
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in files}
    assert len(pages) > 200
    dead = []
    for path, page in pages.items():
        for link in page.links:
            target, place = urldefrag(urljoin(path.as_uri(), link))
            if not target.startswith("file:"):
                continue
            found = Path(unquote(target.removeprefix("file://").partition("?")[0]))
            known = pages.get(found)
            if not found.exists() or (place and known is not None and unquote(place) not in known.places):
                dead.append(f"{path.relative_to(html)}: {link}")
    assert dead == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [390, 1440])
def test_a_page_complains_of_nothing_and_fits(browser: Browser, address: str, page: str, width: int) -> None:
    browser.open(f"{address}/{page}", width)
    assert browser.complaints() == []
    assert all(url.startswith((address, "data:")) for url in browser.requests())
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("document.querySelector('h1').innerText.length") > 0
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth && i.loading !== 'lazy').map(i => i.src)"
    assert browser.ask(broken) == []


@pytest.mark.parametrize("words", ["MLP.fit", "EarlyStopping", "decision_regions"])
def test_the_search_finds_what_people_look_for(browser: Browser, address: str, words: str) -> None:
    browser.open(f"{address}/search.html?q={words}")
    browser.until("document.querySelectorAll('#search-results li a').length > 0")
    titles = browser.ask("[...document.querySelectorAll('#search-results li a')].map(a => a.innerText)")
    assert any(words in title for title in titles[:3]), titles[:5]


def test_boxes_of_code_can_be_copied(browser: Browser, address: str) -> None:
    browser.open(f"{address}/guide/training.html")
    browser.until("document.querySelectorAll('button.copybtn').length > 0")
    boxes, buttons = (
        browser.ask(f"document.querySelectorAll('div.highlight {what}').length") for what in ("pre", "button")
    )
    assert boxes == buttons > 3
