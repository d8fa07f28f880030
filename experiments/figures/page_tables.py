"""The tables of docs/results.md, as Markdown text made from records."""

import numpy as np

from dream_jax.viz import statistics
from experiments.figures import claims, estimates, records, studies
from experiments.figures.page_parts import (
    NONE,
    TEST,
    between,
    by_benchmark,
    final,
    group_of,
    listed,
    millions,
    reached,
    return_of,
    seeds_of,
    strata,
    table,
)
from experiments.figures.paper import COLOURS, LINE_STYLES, NAMES, WITHOUT_EXPLORATION
from experiments.figures.records import Records
from experiments.figures.studies import STUDIES

_BUDGETS = ("250000", "500000", "1000000", "2000000", "5000000")

# Benchmark, split, and what its problems are, of the summary.
SUMMARY = (
    ("map", "test", "the training problems"),
    ("distracting_bus", "test", "523 held-out ones"),
    ("cooking", "train", "the training kitchens"),
    ("cooking", "test", "one held-out kitchen"),
    ("sign", "test", "the training problems"),
)


def references(known: Records) -> str:
    """Exact returns without training."""
    rows = []
    for benchmark in ("bus", *TEST):
        cells = [benchmark]
        for name in LINE_STYLES:
            setting = studies.find("comparison", f"{benchmark}-{name}")
            found = group_of(setting, known).finished
            cells.append(
                " / ".join(return_of(found[0], s) for s in ("train", "test")) if found else NONE
            )
        rows.append(cells)
    return table(("train / test", *LINE_STYLES), rows)


def pearl_ub(known: Records) -> str:
    """PEARL-UB under other assumptions than the preset's."""
    rows = []
    for setting in STUDIES["pearl_ub"]:
        ((path, value),) = setting.overrides
        found = group_of(setting, known).finished
        both = [return_of(record, s) for record in found for s in ("train", "test")]
        rows.append((setting.benchmark, f"{path}={value}", " / ".join(both) or NONE))
    return table(("", "assumption", "PEARL-UB, train / test"), rows)


def dream(known: Records) -> str:
    """How fast DREAM learns: one row per benchmark."""
    rows = []
    for benchmark in ("bus", *TEST):
        each = group_of(studies.find("comparison", f"{benchmark}-dream"), known)
        at = [f"{claims.numbers(each.normalised('test', int(b)))}" or NONE for b in _BUDGETS[:4]]
        steps = ", ".join(reached(each, "env_steps_to_95", millions)) or NONE
        times = ", ".join(reached(each, "time_to_95_s", lambda x: f"{x:.0f}")) or NONE
        total = listed(each.each("wall_s"), lambda x: f"{x:.0f}")
        rows.append(
            (
                benchmark,
                seeds_of(each),
                final(each, "train"),
                final(each, "test"),
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
    """DREAM beside the paper's comparisons: normalised returns of each seed, and DREAM's speed."""
    rows = []
    for benchmark, split, what in SUMMARY:
        cells = [benchmark, what]
        for name in ("dream", *WITHOUT_EXPLORATION):
            each = group_of(studies.find("comparison", f"{benchmark}-{name}"), known)
            cells.append(claims.numbers(each.normalised(split)))
        dream = group_of(studies.find("comparison", f"{benchmark}-dream"), known)
        rows.append((*cells, ", ".join(reached(dream, "env_steps_to_95", millions))))
    methods = ("DREAM", *(NAMES[name] for name in WITHOUT_EXPLORATION))
    return table(("benchmark", "problems", *methods, "DREAM to 0.95, steps"), rows)


def comparison(known: Records) -> str:
    """Every trained method on every benchmark: normalised, at the end."""
    wanted = [s for name in ("comparison", "more_methods") for s in STUDIES[name]]
    return by_benchmark([s for s in wanted if s.preset not in LINE_STYLES], known)


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
            better = f"{share:.2f} ({between(ends)})"
        count = f"{sum(map(len, values))} on {len(values)} of {len(TEST)}"
        solved = float(np.mean(np.concatenate(values) >= claims.REACHED))
        rows.append(
            (name, count, f"{value + 0.0:.2f} ({between(bounds)})", f"{solved:.2f}", better)
        )
    header = ("", "runs on benchmarks", "IQM (95% interval)", "share of runs at 0.95")
    return table((*header, "probability that DREAM is better"), rows)


def kitchens(known: Records) -> str:
    """DREAM on cooking with other kitchens held out."""
    rows = []
    for setting in STUDIES["kitchens"]:
        each = group_of(setting, known)
        kitchen = dict(setting.overrides)["env.held_out"][0]
        rows.append((str(kitchen), seeds_of(each), final(each, "train"), final(each, "test")))
    found = [group_of(setting, known).normalised("test") for setting in STUDIES["kitchens"]]
    strata = [values for values in found if values]
    if strata:
        every = np.concatenate(strata)
        mean = np.mean([np.mean(values) for values in strata])  # a kitchen counts once
        interval = ""
        if len({len(values) for values in strata}) == 1:  # else not an interval of that mean
            interval = f" ({between(statistics.stratified_ci95(strata))})"
        solved = int((every >= claims.REACHED).sum())
        text = f"mean of kitchens {mean + 0.0:.2f}{interval}; {solved} of {len(every)} at 0.95"
        rows.append(("all", str(len(every)), "", text))
    return table(("held-out kitchen", "seeds", "train", "held out"), rows)


def missing(known: Records) -> str:
    """How many runs have no record, and how long they take."""
    rows = []
    for name, settings in STUDIES.items():
        runs = [run for setting in settings for run in setting.runs()]
        left = [run for run in runs if records.of_today(known, run) is None]
        time = f"{estimates.hours(left, known):.1f}" if left else "0"
        done = f"{len(runs) - len(left)} of {len(runs)}"
        rows.append((name, done, time, f"`python -m experiments.results --run='{name}/*'`"))
    return table(("study", "runs with a record", "hours missing, one core", "command"), rows)
