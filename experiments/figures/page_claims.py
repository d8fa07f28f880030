"""The claims on docs/results.md and README.md, as Markdown text made from records."""

from collections.abc import Sequence

from experiments.figures import claims
from experiments.figures.groups import PAPER_STEPS, at_most, groups
from experiments.figures.listed_runs import BANDIT, FIRST_SEED
from experiments.figures.page_bandit import fits_of, starts_of
from experiments.figures.page_parts import command_of, table
from experiments.figures.paper import PANELS
from experiments.figures.records import Records
from experiments.figures.studies import STUDIES

_KINDS = ("holds", "holds on", "does not hold", "not measured")
_COLUMNS = (
    "holds",
    "does not hold",
    "not measured",
)  # those that hold so far say on how many seeds
_PANELS = tuple(panel for panels in PANELS.values() for panel in panels)


def claims_of(known: Records) -> list[claims.Verdict]:
    """Every claim and question that runs can judge."""
    found = groups((*STUDIES["comparison"], *STUDIES["bottleneck"]), FIRST_SEED, known)
    verdicts = claims.grid_verdicts(_PANELS, found)
    verdicts += claims.on_every_panel(verdicts, claims.MORE_THAN_OTHERS)
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
    """Every claim at each budget: where it holds, where not, and where it is not known."""
    every = claims_of(known)
    parts = []
    for asked_by in (claims.PAPER, claims.PROJECT):
        mine = [v for v in every if v.asked_by == asked_by]
        rows = [
            (claim, budget, _measured(found), *_cells(found), _pattern(found))
            for (claim, budget), found in _by_claim(mine).items()
        ]
        header = ("claim", "budget", "seeds", *_COLUMNS, "runs")
        parts.append(f"**Asked by {asked_by}**\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def summary(known: Records) -> str:
    """The claims of the paper at the end of training, for README.md."""
    early = {at_most(steps) for steps in PAPER_STEPS.values()}
    every = claims_of(known)
    wanted = [v for v in every if v.asked_by == claims.PAPER and v.budget not in early]
    rows = [(claim, *_cells(found)) for (claim, _), found in _by_claim(wanted).items()]
    judged = [row for row in rows if row[1] or row[2]]
    left = "".join(f"\n- {row[0]}: {row[3]}" for row in rows if row not in judged)
    text = f"\n\nNo finished run yet:\n{left}" if left else ""
    return table(("claim of the paper", *_COLUMNS), judged) + text


def _by_claim(
    verdicts: Sequence[claims.Verdict],
) -> dict[tuple[str, str], list[claims.Verdict]]:
    """The verdicts on each claim at each budget."""
    found: dict[tuple[str, str], list[claims.Verdict]] = {}
    for verdict in verdicts:
        found.setdefault((verdict.claim, verdict.budget), []).append(verdict)
    return found


def _cells(verdicts: Sequence[claims.Verdict]) -> list[str]:
    """Where a claim holds, where it does not, and where it is not measured."""
    return ["; ".join(_place(v) for v in verdicts if _column(v) == name) for name in _COLUMNS]


def claims_block(known: Records) -> str:
    """Each claim with its measurement, one table per panel."""
    verdicts = claims_of(known)
    parts = []
    for place in dict.fromkeys(v.where for v in verdicts):
        mine = [v for v in verdicts if v.where == place]
        header = ("claim", "budget", "seeds", "measured", "95% interval of the mean", "verdict")
        rows = [v[:1] + v[2:7] for v in mine]
        commands = dict.fromkeys(_command(v) for v in mine)
        listed = "\n".join(f"    python -m experiments.results --run='{each}'" for each in commands)
        parts.append(f"**{place}**\n\n{table(header, rows)}\n\n{listed}")
    return "\n\n".join(parts)


def _kind(verdict: str) -> str:
    return next((kind for kind in _KINDS[1:] if verdict.startswith(kind)), _KINDS[0])


def _column(verdict: claims.Verdict) -> str:
    kind = _kind(verdict.verdict)
    return "holds" if kind == "holds on" else kind


def _place(verdict: claims.Verdict) -> str:
    """Benchmark and split. Of a claim about every seed that fails also on how many it holds."""
    where = verdict.where.replace("(", "").replace(")", "")
    share = verdict.verdict.removeprefix("does not hold").removeprefix("holds").strip(" ()")
    return f"{where} ({share})" if share and verdict.verdict != "not measured" else where


def _measured(verdicts: Sequence[claims.Verdict]) -> str:
    """The seeds of the panels that are measured, each number once."""
    known = [v.seeds for v in verdicts if v.verdict != "not measured"]
    return "; ".join(dict.fromkeys(known)) or "none yet"


def _pattern(verdicts: Sequence[claims.Verdict]) -> str:
    """Of the runs behind verdicts on a claim, one pattern for all."""
    found = dict.fromkeys(_command(v) for v in verdicts)
    return f"`{next(iter(found)) if len(found) == 1 else 'comparison/*'}`"


def _command(verdict: claims.Verdict) -> str:
    """The pattern of the runs behind a verdict: one for all methods on a benchmark."""
    place = verdict.where.split()[0]
    if place == BANDIT:
        return f"{BANDIT}/*"
    if place == "every":
        return "comparison/*"
    return "bottleneck/*" if "one decoder head" in verdict.claim else f"comparison/{place}-*"
