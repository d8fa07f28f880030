"""What the site has beyond docs/: the project's own pages, and links that fit the site.

On a code host the pages link to files outside docs/. The site has README.md, CHANGELOG.md and
CONTRIBUTING.md as pages; links to source files become plain text.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/README.md": "overview.md",  # a README.md would be the index of the site
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_IMAGE = re.compile(r'src="docs/')


def on_files(files, config):
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = text if source.startswith("docs/") else from_root(text)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    return _LINK.sub(lambda found: _fit(found, files), markdown)


def from_root(text: str) -> str:
    """A page of the root as if it were in docs/."""
    text = _IMAGE.sub('src="', text)
    return text.replace("](docs/", "](").replace("](LICENSE)", "](../LICENSE)")


def _fit(found, files):
    words, target, anchor = found[1], found[2], found[3] or ""
    if "://" in target or (target != "README.md" and files.get_file_from_path(target)):
        return found[0]
    name = "docs/README.md" if target == "README.md" else target.removeprefix("../")
    if name in PAGES:
        return f"[{words}]({PAGES[name]}{anchor})"
    if (ROOT / name).exists():  # a source file
        return words
    return found[0]  # mkdocs reports it
