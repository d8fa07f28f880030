"""Tables and figures of docs/results.md, made from the records in docs/data.

A block of the page is everything between `<!-- results: NAME -->` and `<!-- end of NAME -->`. The
prose around the blocks is written by hand. A picture holds a digest of the numbers it shows, so
that it can be compared with the data without drawing it again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from dream_jax.config import ConfigError
from experiments.figures import page_claims, page_figures, page_tables
from experiments.figures.records import Records

BLOCKS: Mapping[str, Callable[[Records], str]] = {
    "glance": page_claims.glance,
    "references": page_tables.references,
    "dream": page_tables.dream,
    "comparison": page_tables.comparison,
    "aggregate": page_tables.aggregate,
    "kitchens": page_tables.kitchens,
    "ablations": page_tables.ablations,
    "bottleneck": page_tables.bottleneck,
    "paper settings": page_tables.paper_settings,
    "bandit": page_tables.bandit,
    "bandit starts": page_tables.bandit_starts,
    "missing": page_tables.missing,
    "claims": page_claims.claims_block,
}
# File name in docs/figures: what it shows, as plain numbers (None: no record), and how it is drawn.
FIGURES: Mapping[str, page_figures.Figure] = {
    "results_comparison.png": page_figures.COMPARISON,
    "results_profile.png": page_figures.PROFILE,
    "results_bandit.png": page_figures.BANDIT_STARTS,
}
_DIGEST = "Data"  # the key of the digest in a PNG


def render(text: str, records: Records) -> str:
    """The page with every block made anew. Raises ConfigError if it lacks a block."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- results: {name} -->", f"<!-- end of {name} -->"
        found = re.findall(re.escape(begin) + ".*?" + re.escape(end), text, re.DOTALL)
        if len(found) != 1:
            raise ConfigError(f"the page must have {begin} and {end} once, in this order")
        text = text.replace(found[0], f"{begin}\n\n{block(records)}\n\n{end}")
    return text


def write(page: Path, records: Records) -> list[Path]:
    """Write the page's blocks and figures anew where they differ. Returns the changed files."""
    changed = []
    before = page.read_text(encoding="utf-8")
    after = render(before, records)
    if after != before:
        page.write_text(after, encoding="utf-8")
        changed.append(page)
    for name, figure in FIGURES.items():
        path = page.parent / "figures" / name
        shown = figure.shown(records)
        if shown is None or _digest_of(path) == digest(shown):
            continue
        path.parent.mkdir(exist_ok=True)
        drawn = figure.draw(shown)
        drawn.savefig(path, metadata={_DIGEST: digest(shown)})
        changed.append(path)
    return changed


def differences(page: Path, records: Records) -> list[str]:
    """What of the page is not what the records give: names of blocks and figures."""
    before = page.read_text(encoding="utf-8")
    found = []
    if render(before, records) != before:
        found += [name for name, block in BLOCKS.items() if block(records) not in before]
        found = found or ["the page"]
    for name, figure in FIGURES.items():
        shown = figure.shown(records)
        path = page.parent / "figures" / name
        if (shown is None and path.exists()) or (
            shown is not None and _digest_of(path) != digest(shown)
        ):
            found.append(name)
    return found


def digest(shown: Sequence[Any]) -> str:
    """Of the numbers that a figure shows."""
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:32]


def _digest_of(path: Path) -> str | None:
    if not path.exists():
        return None
    with Image.open(path) as picture:
        return picture.info.get(_DIGEST)
