"""Build the site (`make site`): the pages of docs/, examples/ and bench/ as one folder of HTML, without a network.

python -m docs.write_site TARGET

The pages link to each other as they lie in the repository. Here they are laid side by side, docs/ at the top, and
each link is written anew; one that leads nowhere, or a page that mkdocs.yml leaves out, ends the build.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from docs.messages import messages

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "mkdocs.yml"
SHOWN = {
    ".py": "python",
    ".toml": "toml",
    ".mjs": "javascript",
    ".js": "javascript",
    ".cs": "csharp",
    ".rs": "rust",
}
SHOWN |= {".jinja": "jinja", ".yaml": "yaml", ".sh": "bash"}
"""Files that get a page of their own when a page links to them, and their language; other files are copied."""
_SHIM = re.compile(r'<script src="https://[^"]*/iframe-worker/shim"[^>]*>')
"""What the offline plugin fetches so that the search works from a disk; ours stands in its place."""
_FENCED = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.M | re.S)
_LINK = re.compile(r"(?<!`)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_PICTURE = re.compile(r"^!\[([^\]]*)\]\((pictures/[\w-]+\.svg)\)$", re.M)


class SiteError(Exception):
    """The site cannot be built as the pages are."""


def main() -> None:
    """Build into the folder that is named."""
    target = Path(sys.argv[1]).resolve()
    if target.exists() and not (target / "404.html").is_file():
        sys.exit(f"error: {target} is there and is no site of an earlier build. Choose another folder.")
    try:
        build(target)
    except SiteError as error:
        sys.exit(f"error: {error}")


def build(target: Path) -> None:
    """Write the whole site to `target`, in the place of an earlier one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        lay_out(Path(folder))
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", f"{folder}/mkdocs.yml"]
        if subprocess.run(command, check=False).returncode:
            raise SiteError("Zensical refuses a page; it says above which.")
        search_from_disk(Path(folder) / "site")
        shutil.rmtree(target, ignore_errors=True)
        (Path(folder) / "site").rename(target)


def lay_out(folder: Path) -> None:
    """Write the pages with their links, and whatever else they link to, as Zensical takes them."""
    shutil.copy(CONFIG, folder)
    waiting, written = [*(ROOT / "docs" / "site").iterdir(), *pages()], set[Path]()
    while waiting:
        source = waiting.pop()
        if source in written:
            continue
        written.add(source)
        place = folder / "docs" / place_of(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            text, linked = rewritten(source)
            text = with_messages(text) if source.name == "errors.md" else text
            place.write_text(text, encoding="utf-8")
            waiting += linked
        elif place.suffix == ".md":
            place.write_text(shown(source), encoding="utf-8")
        else:
            shutil.copy(source, place)


def pages() -> list[Path]:
    """Return the pages that mkdocs.yml lists; it has to list all there are."""
    listed = set(_leaves(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["nav"]))
    there = {ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")}
    there |= {*ROOT.glob("examples/*/README.md"), *ROOT.glob("bench/README.md")}
    names = {place_of(page).as_posix() for page in there}
    if listed != names:
        left_out, missing = sorted(names - listed), sorted(listed - names)
        raise SiteError(f"nav in mkdocs.yml leaves out {left_out}, and lists {missing}, which are not there.")
    return sorted(there)


def _leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [leaf for below in (nav.values() if isinstance(nav, dict) else nav) for leaf in _leaves(below)]


def place_of(source: Path) -> Path:
    """Return where a file of the repository lies in the site: docs/ is its top."""
    path = source.relative_to(ROOT)
    path = path.relative_to("docs") if path.is_relative_to("docs") else path
    shown = path.suffix in SHOWN and path.parent.name != "site"
    return path.with_name(f"{path.name}.md") if shown else path


def rewritten(page: Path) -> tuple[str, list[Path]]:
    """Return a page with links as they are in the site, and the files that it links to."""
    linked: list[Path] = []

    def link(match: re.Match[str]) -> str:
        source = Path(os.path.normpath(page.parent / match[1]))
        if not source.is_file():
            raise SiteError(f"{page.relative_to(ROOT)} links to {match[1]}, which is no file.")
        linked.append(source)
        return f"]({os.path.relpath(place_of(source), place_of(page).parent)}{match[2] or ''})"

    def prose(text: str) -> str:
        return _LINK.sub(link, _PICTURE.sub(lambda match: drawn(page, match), text))

    text, parts, end = page.read_text(encoding="utf-8"), [], 0
    for block in _FENCED.finditer(text):
        parts += [prose(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, prose(text[end:])]), linked


def with_messages(page: str) -> str:
    """Put below each kind of error all that it says, so that a search for a message finds its kind."""
    says = messages()

    def entry(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        texts = {_slug(text): text for text in sorted(says.get(name, []), key=str.casefold)}
        if len(texts) < 2:
            return match[0]
        items = "\n".join(f'<li id="{kind}-{slug}">{html.escape(text)}</li>' for slug, text in texts.items())
        listed = f"<details>\n<summary>All that it says ({len(texts)})</summary>\n<ul>\n{items}\n</ul>\n</details>"
        return f"{match[0].rstrip()}\n\n{listed}\n\n"

    return re.sub(r"^### (\S+)\n\n`\w+` `(\w+)`.*?(?=^##|\Z)", entry, page, flags=re.M | re.S)


def _slug(text: str) -> str:
    return "-".join(re.findall("[a-z0-9]+", text.lower()))


def drawn(page: Path, match: re.Match[str]) -> str:
    """Return a picture of ours as part of the page, so that it follows the page's light and dark."""
    picture = (page.parent / match[2]).read_text(encoding="utf-8").strip()
    return f'<figure class="drawing" role="img" aria-label="{match[1]}">\n{picture}\n</figure>'


def search_from_disk(site: Path) -> None:
    """Let the search run from a disk without what the offline plugin would fetch."""
    for page in site.rglob("*.html"):
        ours = os.path.relpath(site / "site" / "search_from_disk.js", page.parent)
        text, found = _SHIM.subn(f'<script src="{ours}">', page.read_text(encoding="utf-8"))
        if not found:
            raise SiteError(
                f"{page.name} does not load the offline plugin's worker: Zensical has changed, so must this."
            )
        page.write_text(text, encoding="utf-8")


def shown(source: Path) -> str:
    """Return a page that shows a file."""
    name = source.relative_to(ROOT).as_posix()
    return f"# {name}\n\n~~~~{SHOWN[source.suffix]}\n{source.read_text(encoding='utf-8').rstrip()}\n~~~~\n"


if __name__ == "__main__":
    main()
