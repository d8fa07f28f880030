"""Tables of docs/results.md about one study each: ablations, variations, and what was tried."""

import re
from collections.abc import Sequence

from experiments.figures import claims, studies
from experiments.figures.listed_runs import Setting
from experiments.figures.page_parts import (
    NONE,
    by_benchmark,
    final,
    group_of,
    listed,
    millions,
    reached,
    seeds_of,
    table,
)
from experiments.figures.paper import WITHOUT_EXPLORATION
from experiments.figures.records import USE_OF_Z, Record, Records
from experiments.figures.studies import STUDIES

# What is taken away from the presets, by the name of the variation.
_TAKEN = {
    "traces": "Q(lambda): one-step double Q-learning",
    "time": "the time as an input",
    "norm": "layer normalisation and FiLM",
    "random_actions": "the choice of random actions: inert ones and the end are drawn too",
    "noise": "the exploration noise: one epsilon schedule, no random suffixes, no shifted time",
    "all": "all of these",
}


def same_collection(known: Records) -> str:
    """The end-to-end methods with as few trials for each update as DREAM."""
    return by_benchmark(STUDIES["same_collection"], known)


def families(known: Records) -> str:
    return by_benchmark(STUDIES["families"], known)


def get_go(known: Records) -> str:
    """The return of a whole trial: exploration counts, and so does each exploitation."""
    rows = []
    for benchmark, variant in (("map", ""), ("map", "five"), ("cooking", "")):
        for preset in ("dream", "rl2"):
            single = "comparison" if preset == "dream" else "more_methods"
            name = f"{benchmark}-{preset}" + (f"-{variant}" if variant else "")
            setting = studies.find("families" if variant else single, name)
            each = group_of(setting, known)
            episodes = setting.config().trial.exploitation_episodes
            found = [
                (record.rows[-1]["exploration_return"], record.about["splits"]["test"])
                for record in each.finished
                if record.rows[-1].get("exploration_return") is not None
            ]
            parts = [(first, split["return_mean"]) for first, split in found]
            total = [first + episodes * later for first, later in parts]
            columns = (*zip(*parts, strict=True), total) if parts else ((), (), ())
            cells = [claims.numbers(list(column)) or NONE for column in columns]
            seeds = f"{len(found)} of {each.wanted}"  # older records lack the return of exploration
            rows.append((benchmark, preset, str(episodes), seeds, *cells))
    header = (
        "",
        "",
        "exploitation episodes",
        "seeds",
        "exploration",
        "exploitation, each",
        "in all",
    )
    return table(header, rows)


def ablations(known: Records) -> str:
    return by_benchmark(STUDIES["ablations"], known)


def bottleneck(known: Records) -> str:
    """Distracting bus: the preset's four decoder heads beside the paper's one."""
    rows = []
    four = [_find("distracting_bus", name) for name in ("dream", "dream_no_bottleneck")]
    for heads, wanted in (
        ("four, small start", four),
        ("one, usual start (the paper's)", STUDIES["bottleneck"]),
    ):
        for setting in wanted:
            each = group_of(setting, known)
            name = "none" if setting.preset.endswith("no_bottleneck") else "the preset's"
            cells = (seeds_of(each), final(each, "train"), final(each, "test"))
            rows.append((setting.preset, heads, name, *cells))
    return table(("preset", "decoder heads", "bottleneck", "seeds", "train", "test"), rows)


def paper_settings(known: Records) -> str:
    """The authors' networks and hyperparameters."""
    rows = []
    for setting in STUDIES["paper_settings"]:
        each = group_of(setting, known)
        at = claims.numbers(each.normalised("test", 1_000_000)) or NONE
        steps = listed(each.each("env_steps"), lambda x: f"{x / 1e6:.2f}M")
        rows.append((setting.benchmark, seeds_of(each), at, final(each, "test"), steps))
    return table(("", "seeds", "test, 1M steps", "test, at the end", "steps in all"), rows)


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
        rows.append((f"{setting.benchmark}, {split}", fields, seeds_of(each), *cells))
    budgets = ("0.5M steps", "1M steps", "the end")
    return table(("", "settings", "seeds", *(f"at {b}" for b in budgets)), rows)


def method_settings(known: Records) -> str:
    """What each method was tried with: returns on validation problems at the end."""
    rows = []
    for setting in STUDIES["validation_methods"]:
        each = group_of(setting, known)
        fields = dict(setting.overrides).items() - dict(_preset_of(setting).overrides).items()
        changed = ", ".join(f"{path}={value}" for path, value in sorted(fields, key=str))
        cells = [
            claims.numbers(each.normalised(split)) or NONE for split in ("train", "validation")
        ]
        rows.append((setting.benchmark, setting.preset, changed or "none", seeds_of(each), *cells))
    return table(("", "method", "change", "seeds", "train", "validation"), rows)


def z_in_updates(known: Records) -> str:
    """Section 4.3: z of the updates is that of the encoder, or what the trial acted on."""
    rows = []
    for benchmark in ("bus", "map", "cooking", "distracting_bus"):
        mine = [s for s in STUDIES["z_in_updates"] if s.benchmark == benchmark]
        for setting in (_find(benchmark, "dream"), *mine):
            each = group_of(setting, known)
            acted = setting.variant == "acted"
            heads = str(setting.config().losses.decoder_folds)
            steps = ", ".join(reached(each, "env_steps_to_95", millions)) or NONE
            cells = (seeds_of(each), final(each, "train"), final(each, "test"), steps)
            name = "acted on: F or q" if acted else "F alone"
            rows.append((benchmark, name, heads, *cells))
    header = ("", "z in updates", "decoder heads", "seeds", "train", "test", "steps to 0.95")
    return table(header, rows)


def taken_away(known: Records) -> str:
    """Methods that solve more here than in the paper, without one of our changes each."""
    rows = []
    for benchmark, preset in dict.fromkeys((s.benchmark, s.preset) for s in STUDIES["taken_away"]):
        mine = [s for s in STUDIES["taken_away"] if s.benchmark == benchmark]
        for setting in (_find(benchmark, preset), *mine):
            each = group_of(setting, known)
            name = _TAKEN[setting.variant] if setting.variant else "nothing"
            cells = (seeds_of(each), final(each, "train"), final(each, "test"))
            rows.append((f"{preset} on {benchmark}", name, *cells))
    return table(("", "without", "seeds", "train", "test"), rows)


def shown(known: Records) -> str:
    """Test returns by what exploration shows: rewards, and the instruction that they follow."""
    rows = []
    for benchmark in ("map", "distracting_bus", "cooking"):
        rewards = studies.find("ablations", f"{benchmark}-dream_with_rewards")
        rows.append((benchmark, "dream", *_cells((_find(benchmark, "dream"), rewards), known), ""))
        for name in WITHOUT_EXPLORATION:
            three = (
                studies.find("rewards_hidden", f"{benchmark}-{name}"),
                _find(benchmark, name),
                studies.find("instruction_shown", f"{benchmark}-{name}"),
            )
            rows.append((benchmark, name, *_cells(three, known)))
    return table(("", "", "neither", "rewards", "rewards and instruction"), rows)


def use_of_z(known: Records) -> str:
    """Normalised returns of exploitation by what z was: the records of `experiments.use_of_z`."""
    agents: dict[str, list[Record]] = {}  # the seeds of a setting together
    for record in known.values():
        if record.about["study"] == USE_OF_Z:
            agents.setdefault(re.sub(r"-s\d+$", "", record.about["name"]), []).append(record)
    rows = []
    for name, found in agents.items():
        every = [row for record in found for row in record.rows]
        for split in dict.fromkeys(row["split"] for row in every):
            mine = [row for row in every if row["split"] == split]
            kinds = list(dict.fromkeys(row["z"] for row in mine))
            values = [[row["normalised"] for row in mine if row["z"] == kind] for kind in kinds]
            seeds = ", ".join(str(row["seed"]) for row in mine if row["z"] == kinds[0])
            rows.append((name, split, seeds, *map(claims.numbers, values)))
    if not rows:
        return NONE
    kinds_of_z = ("of this trial", "of another problem", "without exploring", "zero")
    header = ("agent", "split", "seeds", *(f"z {kind}" for kind in kinds_of_z))
    commands = "\n".join(f"    {found[0].about['command']}" for found in agents.values())
    return f"{table(header, rows)}\n\nCommands, of the first seed each:\n\n{commands}"


def _cells(wanted: Sequence[Setting], known: Records) -> list[str]:
    """The test returns of each seed."""
    return [claims.numbers(group_of(s, known).normalised("test")) or NONE for s in wanted]


def _find(benchmark: str, preset: str) -> Setting:
    """The setting that variations are compared with."""
    return studies.find("comparison", f"{benchmark}-{preset}")


def _preset_of(setting: Setting) -> Setting:
    """The setting without a change, of the same method."""
    name = f"{setting.benchmark}-{setting.preset}-preset"
    return studies.find("validation_methods", name)
