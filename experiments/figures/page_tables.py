"""The tables of docs/results.md, as Markdown text made from records."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dream_jax.viz import statistics
from experiments.figures import bandit_runs, bandit_tables, claims, estimates, records, studies
from experiments.figures import bandit_starts as starts
from experiments.figures.groups import Group, group
from experiments.figures.paper import COLOURS, LINE_STYLES, WITHOUT_EXPLORATION
from experiments.figures.records import Record, Records
from experiments.figures.studies import BANDIT, FIRST_SEED, STUDIES, Setting

NONE = "no record yet"
_BUDGETS = ("250000", "500000", "1000000", "2000000", "5000000")
TEST = ("map", "distracting_bus", "cooking", "sign")  # benchmarks, each on its test split


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def references(known: Records) -> str:
    """Exact returns without training."""
    rows = []
    for benchmark in ("bus", *TEST):
        cells = [benchmark]
        for name in LINE_STYLES:
            setting = studies.find("comparison", f"{benchmark}-{name}")
            found = group_of(setting, known).finished
            cells.append(
                " / ".join(_return(found[0], s) for s in ("train", "test")) if found else NONE
            )
        rows.append(cells)
    return table(("train / test", *LINE_STYLES), rows)


def pearl_ub(known: Records) -> str:
    """PEARL-UB under other assumptions than the preset's."""
    rows = []
    for setting in STUDIES["pearl_ub"]:
        ((path, value),) = setting.overrides
        found = group_of(setting, known).finished
        both = [_return(record, s) for record in found for s in ("train", "test")]
        rows.append((setting.benchmark, f"{path}={value}", " / ".join(both) or NONE))
    return table(("", "assumption", "PEARL-UB, train / test"), rows)


def dream(known: Records) -> str:
    """How fast DREAM learns: one row per benchmark."""
    rows = []
    for benchmark in ("bus", *TEST):
        each = group_of(studies.find("comparison", f"{benchmark}-dream"), known)
        at = [f"{claims.numbers(each.normalised('test', int(b)))}" or NONE for b in _BUDGETS[:4]]
        steps = _listed(each.each("env_steps_to_95"), lambda x: f"{x / 1e6:.2f}M")
        times = _listed(each.each("time_to_95_s"), lambda x: f"{x:.0f}")
        total = _listed(each.each("wall_s"), lambda x: f"{x:.0f}")
        rows.append(
            (
                benchmark,
                _seeds(each),
                _final(each, "train"),
                _final(each, "test"),
                *at,
                steps,
                times,
                total,
            )
        )
    header = ("", "seeds", "train, at the end", "test, at the end")
    budgets = [f"test, {int(b) / 1e6:g}M steps" for b in _BUDGETS[:4]]
    return table((*header, *budgets, "steps to 0.95", "seconds to 0.95", "seconds in all"), rows)


def summary(known: Records) -> str:
    """DREAM beside the paper's comparisons: normalised test returns, one row per benchmark."""
    rows = []
    for benchmark in TEST:
        cells = [benchmark]
        for name in ("dream", *WITHOUT_EXPLORATION):
            each = group_of(studies.find("comparison", f"{benchmark}-{name}"), known)
            cells.append(claims.numbers(each.normalised("test")) or NONE)
        rows.append(cells)
    return table(("test problems", "DREAM", "E-RL2", "IMPORT", "VariBAD"), rows)


def comparison(known: Records) -> str:
    """Every trained method on every benchmark: normalised, at the end."""
    wanted = [s for name in ("comparison", "more_methods") for s in STUDIES[name]]
    return _by_benchmark([s for s in wanted if s.preset not in LINE_STYLES], known)


def aggregate(known: Records) -> str:
    """All benchmarks together: IQM with a stratified interval, and how often DREAM is better."""
    rows = []
    mine = strata("dream", TEST, known)
    for name in COLOURS:
        found = strata(name, TEST, known)
        if not found:
            rows.append((name, NONE, "", "", ""))
            continue
        values = list(found.values())
        value = statistics.iqm(np.concatenate(values))
        bounds = statistics.stratified_ci95(values, statistics.iqm)
        both = [b for b in found if b in mine]
        if name == "dream" or not both:
            better = ""
        else:
            share, ends = statistics.probability_of_improvement(
                [mine[b] for b in both], [found[b] for b in both]
            )
            better = f"{share:.2f} ({_ends(ends)})"
        count = f"{sum(map(len, values))} on {len(values)} of {len(TEST)}"
        solved = float(np.mean(np.concatenate(values) >= claims.REACHED))
        rows.append((name, count, f"{value + 0.0:.2f} ({_ends(bounds)})", f"{solved:.2f}", better))
    header = ("", "runs on benchmarks", "IQM (95% interval)", "share of runs at 0.95")
    return table((*header, "probability that DREAM is better"), rows)


def kitchens(known: Records) -> str:
    """DREAM on cooking with other kitchens held out."""
    rows = []
    for setting in STUDIES["kitchens"]:
        each = group_of(setting, known)
        kitchen = dict(setting.overrides)["env.held_out"][0]
        rows.append((str(kitchen), _seeds(each), _final(each, "train"), _final(each, "test")))
    found = [group_of(setting, known).normalised("test") for setting in STUDIES["kitchens"]]
    strata = [values for values in found if values]
    if strata:
        every = np.concatenate(strata)
        interval = _ends(statistics.stratified_ci95(strata))
        solved = int((every >= claims.REACHED).sum())
        text = f"mean {every.mean() + 0.0:.2f} ({interval}); {solved} of {len(every)} at 0.95"
        rows.append(("all", str(len(every)), "", text))
    return table(("held-out kitchen", "seeds", "train", "held out"), rows)


def ablations(known: Records) -> str:
    return _by_benchmark(STUDIES["ablations"], known)


def families(known: Records) -> str:
    return _by_benchmark(STUDIES["families"], known)


def bottleneck(known: Records) -> str:
    """Distracting bus: the preset's four decoder heads beside the paper's one."""
    rows = []
    listed = [
        studies.find("comparison", f"distracting_bus-{n}") for n in ("dream", "dream_no_bottleneck")
    ]
    for heads, wanted in (
        ("four, small start", listed),
        ("one, usual start", STUDIES["bottleneck"]),
    ):
        for setting in wanted:
            each = group_of(setting, known)
            name = "none" if setting.preset == "dream_no_bottleneck" else "the preset's"
            rows.append((heads, name, _seeds(each), _final(each, "train"), _final(each, "test")))
    return table(("decoder heads", "bottleneck", "seeds", "train", "test"), rows)


def paper_settings(known: Records) -> str:
    """The authors' networks and hyperparameters."""
    rows = []
    for setting in STUDIES["paper_settings"]:
        each = group_of(setting, known)
        at = claims.numbers(each.normalised("test", 1_000_000)) or NONE
        steps = _listed(each.each("env_steps"), lambda x: f"{x / 1e6:.2f}M")
        rows.append((setting.benchmark, _seeds(each), at, _final(each, "test"), steps))
    return table(("", "seeds", "test, 1M steps", "test, at the end", "steps in all"), rows)


def bandit(known: Records) -> str:
    """Trials until exploration is optimal, both tables from 0."""
    record = known.get(f"{BANDIT}/bandit-paper-s{FIRST_SEED}")
    if record is None:
        return NONE
    fitted = fits_of(record)
    law = {fit["method"]: fit for fit in fitted["exponents"] if fit["law"] == "A^x, H=1"}
    sizes = sorted({row["actions"] for row in fitted["complexity"] if row["horizon"] == 1})
    sizes = [a for a in sizes if a in record.config().action_counts]
    rows = []
    for method, fit in law.items():
        mine = {
            r["actions"]: r
            for r in fitted["complexity"]
            if r["method"] == method and r["horizon"] == 1
        }
        cells = [_trials(mine[a]["mean_trials"], mine[a]["median_trials"]) for a in sizes]
        rows.append((method, *cells, _exponent(fit)))
    seeds = len(record.about["seeds"])
    head = table(("A", *map(str, sizes), "exponent of A (95% interval)"), rows)
    return f"{head}\n\nMean (median) of {seeds} seeds. `{command_of(record)}`"


def bandit_starts(known: Records) -> str:
    """Every pairing of first values."""
    record = known.get(f"{BANDIT}/bandit-starts-s{FIRST_SEED}")
    if record is None:
        return NONE
    rows = []
    fitted = starts.fits(starts_of(record))
    sizes = sorted({a for row in fitted for a in row["mean_trials"]})
    for row in fitted:
        if row["method"] == "dream" and row["exploitation"] != "neutral":
            continue  # its exploration does not depend on Q_task
        cells = [_settled(row, a, len(record.about["seeds"])) for a in sizes]
        second = row["exploitation"] if row["method"] == "rl2" else "any"
        step = f"{row['step_size']:g}" if row["step_size"] else "average"
        rows.append((row["method"], step, row["exploration"], second, *cells, _exponent(row)))
    head = ("", "step", "Q_exp starts", "Q_task starts", *(f"A = {a}" for a in sizes))
    text = table((*head, "exponent of A (95% interval)"), rows)
    return f"{text}\n\nMean of {len(record.about['seeds'])} seeds. `{command_of(record)}`"


def validation(known: Records) -> str:
    """What was tried while settings were chosen: returns on validation problems.

    They are of training problems where a benchmark tests on these, so that it can set none apart.
    """
    rows = []
    for setting in STUDIES["validation"]:
        each = group_of(setting, known)
        fields = ", ".join(f"{path.split('.')[1]}={value}" for path, value in setting.overrides)
        split = "validation" if dict(setting.overrides)["env.validation_problems"] else "train"
        found = [each.normalised(split, steps) for steps in (500_000, 1_000_000, None)]
        cells = [claims.numbers(values) or NONE for values in found]
        rows.append((f"{setting.benchmark}, {split}", fields, _seeds(each), *cells))
    budgets = ("0.5M steps", "1M steps", "the end")
    return table(("", "settings", "seeds", *(f"at {b}" for b in budgets)), rows)


def missing(known: Records) -> str:
    """How many runs have no record, and how long they take."""
    rows = []
    for name, listed in STUDIES.items():
        runs = [run for setting in listed for run in setting.runs()]
        left = [run for run in runs if records.of_today(known, run) is None]
        time = f"{estimates.hours(left, known):.1f}" if left else "0"
        done = f"{len(runs) - len(left)} of {len(runs)}"
        rows.append((name, done, time, f"`python -m experiments.results --run='{name}/*'`"))
    return table(("study", "runs with a record", "hours missing, one core", "command"), rows)


# Small parts


def fits_of(record: Record) -> dict[str, Any]:
    """`complexity` and `exponents` of a bandit's record."""
    seeds = list(record.about["seeds"])
    return bandit_runs.fits(record.config(), bandit_tables.of_rows(record.rows, seeds))


def starts_of(record: Record) -> starts.Measured:
    return starts.of_rows(record.rows)[0]


def command_of(record: Record) -> str:
    return f"python -m experiments.results --run='{record.path}'"


def group_of(setting: Setting, known: Records) -> Group:
    return group(setting, setting.runs(), known)


def strata(name: str, benchmarks: Sequence[str], known: Records) -> dict[str, list[float]]:
    """The normalised test returns of a preset by benchmark, where there are any."""
    every = {b: group_of(studies.find("comparison", f"{b}-{name}"), known) for b in benchmarks}
    found = {b: each.normalised("test") for b, each in every.items()}
    return {b: values for b, values in found.items() if values}


def _by_benchmark(wanted: Sequence[Setting], known: Records) -> str:
    rows = []
    for setting in wanted:
        each = group_of(setting, known)
        steps = _listed(each.each("env_steps"), lambda x: f"{x / 1e6:.1f}M")
        cells = (_seeds(each), _final(each, "train"), _final(each, "test"), steps)
        rows.append((setting.benchmark, setting.preset, *cells))
    return table(("", "", "seeds", "train", "test", "environment steps"), rows)


def _final(each: Group, split: str) -> str:
    """The normalised returns of the seeds at the end, and the interval of their mean."""
    values = each.normalised(split)
    if not values:
        return NONE
    interval = statistics.ci95(values)
    return claims.numbers(values) + (f" ({_ends(interval)})" if interval else "")


def _seeds(each: Group) -> str:
    stopped = len(each.found) - len(each.finished) - each.failed
    counts = {"stopped": stopped, "failed": each.failed}
    notes = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{len(each.finished)} of {each.wanted}" + (f" ({notes})" if notes else "")


def _return(record: Record, split: str) -> str:
    value = record.about["splits"][split]["return_mean"]
    return "not known" if value is None else f"{value:.4f}"


def _listed(values: Sequence[Any], text: Callable[[Any], str]) -> str:
    return ", ".join("never" if value is None else text(value) for value in values) or NONE


def _ends(interval: tuple[float, float] | None) -> str:
    return "one seed" if interval is None else f"{interval[0] + 0.0:.2f} to {interval[1] + 0.0:.2f}"


def _trials(mean: float | None, median: float | None) -> str:
    return "not all settled" if mean is None or median is None else f"{mean:,.0f} ({median:,.0f})"


def _settled(row: Mapping[str, Any], actions: int, seeds: int) -> str:
    mean = row["mean_trials"][actions]
    return (
        f"{mean:,.0f}" if mean is not None else f"{row['seeds_settled'][actions]} of {seeds} settle"
    )


def _exponent(fit: Mapping[str, Any]) -> str:
    if fit["exponent"] is None:
        return "too few settled"
    return "{:.2f} ({:.2f} to {:.2f})".format(fit["exponent"], *fit["ci95"])
