"""The site builds; every link leads somewhere, nothing comes from outside, and it works from a disk."""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs import write_site
from tests.serving.browser import BROWSER, DRIVER, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("zensical") is None, reason='needs zensical: pip install "rim-edge[docs]"'
    ),
]
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver")
LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
LOADED |= {"embed": "src", "object": "data", "input": "src", "image": "href", "use": "href"}
"""What a browser fetches without being asked, and the attribute that says from where; and links of these kinds:"""
FETCHED = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}
_OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
_CSS_URL = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort an element's addresses."""
        of = {key: value or "" for key, value in attrs}
        if "id" in of:
            self.anchors.append(of["id"])
        if tag in LOADED and LOADED[tag] in of:
            self.loads.append(of[LOADED[tag]])
        if tag == "link" and FETCHED & set(of.get("rel", "").split()):
            self.loads.append(of["href"])
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        self.loads += [place.split()[0] for place in of.get("srcset", "").split(",") if place.strip()]
        self.loads += [a or b for a, b in _CSS_URL.findall(of.get("style", ""))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site") / "html"
    write_site.build(target)
    return target


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_page_is_there(site: Path) -> None:
    for source in write_site.pages():
        place = write_site.place_of(source).with_suffix(".html")
        assert (site / place.with_name(place.name.replace("README", "index"))).is_file()


def test_every_page_is_in_the_menu(site: Path, pages: dict[Path, Page]) -> None:
    menu = {(site / link).resolve() for link in pages[site / "index.html"].links}
    for source in write_site.pages():
        place = write_site.place_of(source).with_suffix(".html")
        assert (site / place.with_name(place.name.replace("README", "index"))).resolve() in menu


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """Also those of files that are no pages, which Zensical does not look at."""
    lost = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            if _OUTSIDE.match(link) or link.startswith(("mailto:", "data:", "javascript:")):
                continue
            parts = urlsplit(link)
            top = site if parts.path.startswith("/") else path.parent  # only the page for what is not found
            target = (top / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else []
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in known
            ):
                lost.append((path.name, link))
    assert lost == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_anchors_are_unique(pages: dict[Path, Page]) -> None:
    """Every kind of error has one, and every message of it that is read from the code."""
    for path, page in pages.items():
        assert sorted(set(page.anchors)) == sorted(page.anchors), path.name
    (errors,) = [page for path, page in pages.items() if path.name == "errors.html"]
    assert "question-too-long" in errors.anchors
    assert len(errors.anchors) > 350


def test_nothing_is_loaded_from_outside(site: Path, pages: dict[Path, Page]) -> None:
    loads = [load for page in pages.values() for load in page.loads]
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    styles += re.findall(r"<style>(.*?)</style>", "".join(path.read_text("utf-8") for path in pages), re.DOTALL)
    loads += [a or b for style in styles for a, b in _CSS_URL.findall(style)]
    assert len(loads) > 100
    assert [load for load in loads if _OUTSIDE.match(load)] == []


def test_pictures_follow_light_and_dark(pages: dict[Path, Page]) -> None:
    (how,) = [path.read_text("utf-8") for path in pages if path.name == "how-it-works.html"]
    assert how.count('class="drawing-svg"') == 4
    assert "![" not in how


class _Handler(SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 (of this class, as the server makes one handler a request)

    def log_message(self, *_: object) -> None:
        """Keep the request's path instead of printing it."""
        self.asked.append(self.path)


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    _Handler.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@needs_browser
def test_a_browser_asks_nobody_else(address: str, tmp_path: Path) -> None:
    """Two pages in light and dark: what they load is counted, fits a phone, and pictures are left to look at."""
    for name, options in {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}.items():
        with browser(tmp_path / name, *options, "--window-size=500,900") as page:
            for file in ("how-it-works.html", "errors.html"):
                page.open(f"{address}/{file}")
                page.wait("return document.readyState === 'complete' && document.querySelector('.md-search')")
                loaded = page.run("return performance.getEntriesByType('resource').map((e) => e.name)")
                assert len(loaded) >= 4
                assert [url for url in loaded if not url.startswith(address)] == []
                assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
                scheme = page.run("return document.body.getAttribute('data-md-color-scheme')")
                assert scheme == {"light": "default", "dark": "slate"}[name]
                page.picture(tmp_path / f"{file}-{name}.png")
    assert {"/how-it-works.html", "/errors.html"} <= set(_Handler.asked)


ALL = """const all = (root, css) => [...root.querySelectorAll(css),
  ...[...root.querySelectorAll('*')].filter((e) => e.shadowRoot).flatMap((e) => all(e.shadowRoot, css))];"""
TYPE = """const box = all(document, 'input').find((e) => e.getAttribute('aria-label') === 'Search');
  if (!box) return false;
  box.value = 'golden questions';
  box.dispatchEvent(new Event('input', { bubbles: true }));
  return true;"""


@needs_browser
def test_the_search_works_from_a_disk(site: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as page:
        page.open((site / "examples" / "smollm2" / "index.html").as_uri())
        page.wait("return document.readyState === 'complete' && document.querySelector('.md-search__button')")
        page.run("document.querySelector('.md-search__button').click()")
        page.wait(ALL + TYPE)
        found = page.wait(
            ALL + "const found = all(document, 'a').map((e) => e.href).filter((url) => url.includes('?h='));"
            "return found.length ? found : null;"
        )
        page.picture(tmp_path / "search.png")
    assert all(url.startswith(site.as_uri()) for url in found)
    assert any("certificate.html" in url or "self-test" in url for url in found)


def test_what_is_wrong_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n")
    (tmp_path / "docs" / "index.md").write_text("[there](nowhere.md)\n\n```\n[not a link](in/code.md)\n```\n")
    (tmp_path / "mkdocs.yml").write_text("nav: [{Home: index.md}]\n")
    monkeypatch.setattr(write_site, "ROOT", tmp_path)
    monkeypatch.setattr(write_site, "CONFIG", tmp_path / "mkdocs.yml")
    with pytest.raises(write_site.SiteError, match=r"leaves out \['CHANGELOG.md'\]"):
        write_site.pages()
    with pytest.raises(write_site.SiteError, match=r"docs/index\.md links to nowhere\.md, which is no file"):
        write_site.rewritten(tmp_path / "docs" / "index.md")
    (tmp_path / "docs" / "nowhere.md").write_text("# There\n")
    text, linked = write_site.rewritten(tmp_path / "docs" / "index.md")
    assert "in/code.md" in text
    assert linked == [tmp_path / "docs" / "nowhere.md"]
