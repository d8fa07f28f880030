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
from experiments.figures import page_bandit, page_claims, page_figures, page_studies, page_tables
from experiments.figures.records import Records

# File name in docs/figures: what it shows, as plain numbers (None: no record), and how it is drawn.
FIGURES: Mapping[str, page_figures.Figure] = {
    "results_comparison.png": page_figures.COMPARISON,
    "results_profile.png": page_figures.PROFILE,
    "results_bandit.png": page_figures.BANDIT_STARTS,
}


def _picture(name: str, alternative: str) -> Callable[[Records], str]:
    """A block with a figure, or with nothing while there are no records for it."""

    def block(records: Records) -> str:
        there = FIGURES[name].shown(records) is not None
        return f"![{alternative}](figures/{name})" if there else "No figure: no record yet."

    return block


BLOCKS: Mapping[str, Callable[[Records], str]] = {
    "glance": page_claims.glance,
    "references": page_tables.references,
    "pearl_ub": page_tables.pearl_ub,
    "dream": page_tables.dream,
    "comparison": page_tables.comparison,
    "comparison figure": _picture("results_comparison.png", "learning curves of every method"),
    "same collection": page_studies.same_collection,
    "aggregate": page_tables.aggregate,
    "profile figure": _picture("results_profile.png", "share of runs above each return"),
    "kitchens": page_tables.kitchens,
    "use of z": page_studies.use_of_z,
    "ablations": page_studies.ablations,
    "bottleneck": page_studies.bottleneck,
    "paper settings": page_studies.paper_settings,
    "z in updates": page_studies.z_in_updates,
    "taken away": page_studies.taken_away,
    "shown": page_studies.shown,
    "method settings": page_studies.method_settings,
    "families": page_studies.families,
    "get-go": page_studies.get_go,
    "validation": page_studies.validation,
    "bandit": page_bandit.bandit,
    "bandit starts": page_bandit.bandit_starts,
    "bandit figure": _picture("results_bandit.png", "exponents of every start"),
    "missing": page_tables.missing,
    "claims": page_claims.claims_block,
}
# Blocks that README.md may have.
SUMMARY: Mapping[str, Callable[[Records], str]] = {
    "benchmarks": page_tables.summary,
    "verdicts": page_claims.summary,
}
_DIGEST = "Data"  # the key of the digest in a PNG


def render(text: str, records: Records) -> str:
    """The page with every block made anew. Raises ConfigError if it lacks a block."""
    for name, block in BLOCKS.items():
        text = _replace(text, name, block(records))
    return text


def render_summary(text: str, records: Records) -> str:
    """README.md with its blocks made anew; the same text if it has none."""
    for name, block in SUMMARY.items():
        if f"<!-- results: {name} -->" in text:
            text = _replace(text, name, block(records))
    return text


def _replace(text: str, name: str, made: str) -> str:
    begin, end = f"<!-- results: {name} -->", f"<!-- end of {name} -->"
    found = re.findall(re.escape(begin) + ".*?" + re.escape(end), text, re.DOTALL)
    if len(found) != 1:
        raise ConfigError(f"the page must have {begin} and {end} once, in this order")
    return text.replace(found[0], f"{begin}\n\n{made}\n\n{end}")


def write(page: Path, records: Records) -> list[Path]:
    """Write the page's blocks and figures anew where they differ. Returns the changed files."""
    changed = []
    for path, made in ((page, render), (readme_of(page), render_summary)):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = made(before, records) if path.exists() else ""
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
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
    readme = readme_of(page)
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        found += [readme.name] if render_summary(text, records) != text else []
    for name, figure in FIGURES.items():
        shown = figure.shown(records)
        path = page.parent / "figures" / name
        if (shown is None and path.exists()) or (
            shown is not None and _digest_of(path) != digest(shown)
        ):
            found.append(name)
    return found


def readme_of(page: Path) -> Path:
    """README.md of the project whose page this is: beside the folder of the page."""
    return page.absolute().parent.parent / "README.md"


def digest(shown: Sequence[Any]) -> str:
    """Of the numbers that a figure shows."""
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:32]


def _digest_of(path: Path) -> str | None:
    if not path.exists():
        return None
    with Image.open(path) as picture:
        return picture.info.get(_DIGEST)
