"""The claims of the paper on docs/results.md, as Markdown text made from records."""

from collections.abc import Sequence

from experiments.figures import claims
from experiments.figures.groups import groups
from experiments.figures.page_tables import command_of, fits_of, group_of, starts_of, table
from experiments.figures.paper import PANELS
from experiments.figures.records import Records
from experiments.figures.studies import BANDIT, FIRST_SEED, STUDIES

_PANELS = tuple(panel for panels in PANELS.values() for panel in panels)


def claims_of(known: Records) -> list[claims.Verdict]:
    """Every claim of the paper that runs can judge."""
    found = groups(STUDIES["comparison"], FIRST_SEED, known)
    verdicts = claims.grid_verdicts(_PANELS, found)
    one_head = [group_of(s, known) for s in STUDIES["bottleneck"]]
    for each in one_head:
        if each.setting.preset == "dream_no_bottleneck":
            panel = {("distracting_bus", "dream_no_bottleneck"): each}
            verdict = claims.bottleneck_verdict("distracting_bus", "test", panel)
            verdicts.append(verdict._replace(claim=f"{verdict.claim}, with the paper's decoder"))
    paper = known.get(f"{BANDIT}/bandit-paper-s{FIRST_SEED}")
    if paper is not None:
        fitted = fits_of(paper)
        verdicts += claims.bandit_verdicts(
            fitted["complexity"],
            fitted["exponents"],
            len(paper.about["seeds"]),
            command_of(paper),
        )
    measured = known.get(f"{BANDIT}/bandit-starts-s{FIRST_SEED}")
    if measured is not None:
        seeds = len(measured.about["seeds"])
        verdicts += claims.start_verdicts(starts_of(measured), seeds, command_of(measured))
    return verdicts


def glance(known: Records) -> str:
    """Every claim on every panel: the verdict at the paper's budget, and at the end."""
    every = claims_of(known)
    verdicts = [v for v in every if v.where != "bandit"]
    places = list(dict.fromkeys(v.where for v in verdicts))
    rows = []
    for claim in dict.fromkeys(v.claim for v in verdicts):
        cells = []
        for place in places:
            mine = [v for v in verdicts if (v.claim, v.where) == (claim, place)]
            cells.append("; ".join(f"{_budget(v)}: {v.verdict}" for v in mine))
        rows.append((claim, *cells))
    bandit = [(v.claim, v.measured, v.verdict) for v in every if v.where == "bandit"]
    parts = [_counts(every), table(("claim", *places), rows)]
    if bandit:
        parts.append(table(("claim about the bandit", "measured", "verdict"), bandit))
    return "\n\n".join(parts)


def claims_block(known: Records) -> str:
    """Each claim with its measurement, one table per panel."""
    verdicts = claims_of(known)
    parts = []
    for place in dict.fromkeys(v.where for v in verdicts):
        mine = [v for v in verdicts if v.where == place]
        header = ("claim", "budget", "seeds", "measured", "95% interval of the mean", "verdict")
        rows = [v[:1] + v[2:7] for v in mine]
        pattern = f"comparison/{place.split()[0]}-*" if place != "bandit" else f"{BANDIT}/*"
        command = f"`python -m experiments.results --run='{pattern}'`"
        parts.append(f"**{place}**: {command}\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def _counts(verdicts: Sequence[claims.Verdict]) -> str:
    kinds = ("holds", "holds on", "does not hold", "not measured")
    counts = [sum(_kind(v.verdict) == kind for v in verdicts) for kind in kinds]
    words = ("hold", "hold on the seeds so far", "do not hold", "are not measured yet")
    text = ", ".join(f"{count} {word}" for count, word in zip(counts, words, strict=True))
    return f"Of {len(verdicts)} verdicts {text}."


def _budget(verdict: claims.Verdict) -> str:
    return "end" if verdict.budget.startswith("end") else verdict.budget.split()[0]


def _kind(verdict: str) -> str:
    if verdict.startswith("holds on"):
        return "holds on"
    return "does not hold" if verdict.startswith("does not hold") else verdict
