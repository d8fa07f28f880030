"""The record of a run: two small files, from which every table and figure is made.

NAME.csv has every evaluation, or for the bandit every measured number of trials. NAME.json has the
command, the settings, the commit, the machine and the final returns. Records are in one folder per
study. A record counts only while its settings are those that the list in studies.py has today.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.config import Config, ConfigError
from dream_jax.runs import milestones, provenance
from dream_jax.runs import summary as summaries
from dream_jax.runs.folder import saved_run
from dream_jax.runs.metrics import write_json
from experiments.figures import curves, studies
from experiments.figures.bandit_config import PRESETS, BanditConfig
from experiments.figures.listed_runs import BANDIT, Listed, Setting
from experiments.figures.tables import write_csv

USE_OF_Z = "use_of_z"  # the study whose records `experiments.use_of_z` writes; nothing is trained
RUNS = Path("runs/results")  # where recorded commands put their runs
DATA = Path(__file__).parents[2] / "docs" / "data"  # the records of this project
_COUNTS = ("seed", "env_steps", "trials", "updates")
_COLUMNS = (
    *_COUNTS,
    "wall_s",
    "train_return",
    "validation_return",
    "test_return",
    "train_return_encoder",
    "exploration_length",
    "exploration_return",
)
_REACHED, _AT_STEPS = ("time_to_95_s", "env_steps_to_95", "updates_to_95"), "return_at_env_steps"
_TOTALS = ("wall_s", "compile_s", "env_steps", "trials", "updates")


class Record(NamedTuple):
    """What is kept of a run."""

    about: Mapping[str, Any]  # NAME.json
    rows: Sequence[Mapping[str, Any]]  # NAME.csv; numbers, None where a field is empty

    @property
    def path(self) -> str:
        """STUDY/NAME."""
        return f"{self.about['study']}/{self.about['name']}"

    @property
    def finished(self) -> bool:
        return bool(self.about["state"] == "finished")

    @property
    def failed(self) -> bool:
        """Whether training failed, for example by a loss that was not finite."""
        return str(self.about["state"]).startswith("failed")

    def config(self) -> Any:
        """The settings that the run had."""
        kind = BanditConfig if self.about["benchmark"] == BANDIT else Config
        return provenance.config_of(self.about, kind)


Records = Mapping[str, Record]  # by STUDY/NAME


def match(folder: Path, names: Iterable[str]) -> list[Listed]:
    """The listed runs that a folder holds: one, or one per seed where several were trained at once.

    Args:
      folder: of a run.
      names: of the studies to look in.

    Raises:
      ConfigError: it holds no run, or one that is not listed there.
    """
    saved = saved_run(folder, "--add=")
    benchmark = saved["config"].get("benchmark", BANDIT)
    config = provenance.config_of(saved, BanditConfig if benchmark == BANDIT else Config)
    seeds = tuple(saved["seeds"])
    candidates = [s for name in names for s in studies.STUDIES[name] if s.benchmark == benchmark]
    same = [s for s in candidates if s.config() == config]
    for setting in same:
        held = [listed for listed in setting.runs() if set(listed.seeds) <= set(seeds)]
        if sorted(seed for listed in held for seed in listed.seeds) == sorted(seeds):
            return held
    where = f"--add={folder}: it is not a run of {' or '.join(names)}"
    if same:
        first, last = same[0].runs()[0].first_seed, same[0].runs()[-1].seeds[-1]
        raise ConfigError(
            f"{where}: it has the seeds {', '.join(map(str, seeds))}, and {same[0].name} has "
            f"{first} to {last}"
        )
    named = [s for s in candidates if s.preset == config.preset]
    if not named:
        raise ConfigError(f"{where}, which have no {config.preset} on {benchmark}; see studies.py")
    path, (listed_value, value) = next(iter(configs.differences(named[0].config(), config).items()))
    raise ConfigError(f"{where}: {named[0].name} has {path}={listed_value!r}, not {value!r}")


def of_folder(folder: Path, listed: Listed) -> Record:
    """The record of a run, finished or stopped. Raises ConfigError if it was never evaluated.

    Of a folder with more seeds it takes those of the run. Seconds are then those of all seeds.
    """
    saved = saved_run(folder, "--add=")
    bandit = listed.setting.benchmark == BANDIT
    about = {
        "study": listed.setting.study,
        "name": listed.name,
        "benchmark": listed.setting.benchmark,
        "preset": listed.setting.preset,
        "seeds": list(listed.seeds),
        "command": " ".join(["python", "-m", *listed.arguments(RUNS)]),
        "differs_from_preset": _differences(listed.setting),
        "git": saved["git"],
        "machine": machine(saved["versions"]),
        **(_bandit(folder) if bandit else _trained(folder, listed)),
        "schema_version": saved.get("schema_version", 1),
        "config": saved["config"],
    }
    if tuple(saved["seeds"]) != listed.seeds:
        about["trained_with"] = saved["seeds"]
    if bandit:
        name = "starts.csv" if listed.setting.config().start_step_sizes else "complexity.csv"
        return Record(about, read_csv(folder / name))
    rows = _rows(folder, listed.first_seed)
    return Record(about, [{key: row[key] for key in _COLUMNS if key in row} for row in rows])


def machine(versions: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was made on, from the versions in its config.json."""
    return {
        "processor": versions.get("cpu") or "not recorded",
        "devices": len(versions["devices"]),
        "backend": versions["backend"],
        "jax": versions["jax"],
        "python": versions["python"],
    }


def _trained(folder: Path, listed: Listed) -> dict[str, Any]:
    (seed,) = listed.seeds
    rows = _rows(folder, seed)
    path = folder / "summary.json"
    if path.exists():
        return _ended(folder, provenance.read_json(path), seed, rows)
    if not rows:
        raise ConfigError(f"--add={folder}: this run has not been evaluated yet; train it further")
    config = listed.setting.config()
    bounds = summaries.bounds_of(envs.from_config(config.benchmark, config.env))
    last = rows[-1]
    splits = {
        split: summaries.split_summary([last[f"{split}_return"]], of_split)
        for split, of_split in bounds.items()
    }
    return {
        "state": f"stopped at {last['trials']:,} of {config.training.trials:,} trials",
        "splits": splits,
        **milestones.reached_95(rows, [seed], bounds),
        "return_at_env_steps": milestones.return_at_env_steps(rows, [seed]),
        **{key: last[key] for key in _TOTALS},
    }


def _ended(
    folder: Path, summary: Mapping[str, Any], seed: int, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the summary of a run says about one of its seeds."""
    failure = summary.get("failed", {}).get(str(seed))
    if seed not in summary["seeds"] or not (rows or failure):
        raise ConfigError(
            f"--add={folder}: summary.json or metrics.jsonl has nothing about seed {seed}; give "
            "the folder of a run as it was written"
        )
    place = summary["seeds"].index(seed)
    splits = {}
    for split, part in summary["splits"].items():
        lists = {key: [value[place]] for key, value in part.items() if key.endswith("_per_seed")}
        mean = part["return_per_seed"][place]
        splits[split] = part | lists | {"return_mean": mean, "return_ci95": None}
    # Where there are several seeds, the summary's counts are not those of each.
    counts = rows[-1] if rows and len(summary["seeds"]) > 1 else summary
    return {
        "state": f"failed: {failure['reason']}" if failure else "finished",
        "splits": splits,
        **{key: [summary[key][place]] for key in _REACHED},
        _AT_STEPS: {steps: [values[place]] for steps, values in summary[_AT_STEPS].items()},
        **{key: counts[key] for key in _TOTALS},
    }


def _rows(folder: Path, seed: int) -> list[dict[str, Any]]:
    """The evaluations of a seed, in a folder that may have more seeds."""
    path = folder / "metrics.jsonl"
    rows = curves.read_rows(path) if path.exists() else []
    return [row for row in rows if row["seed"] == seed]


def _bandit(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    if not path.exists():
        raise ConfigError(f"--add={folder}: this run of the bandit has not ended; run it again")
    return {"state": "finished", "wall_s": provenance.read_json(path)["wall_s"]}


def _differences(setting: Setting) -> dict[str, list[Any]]:
    """{path: [the preset's value, the value here]}."""
    if setting.benchmark == BANDIT:
        base: Any = PRESETS[setting.preset]
    else:
        base = presets.get(setting.benchmark, setting.preset)
    return {k: list(v) for k, v in configs.differences(base, setting.config()).items()}


def write(data: Path, record: Record) -> None:
    """DATA/STUDY/NAME.csv and .json, the latter last: without it there is no record."""
    folder = data / record.about["study"]
    folder.mkdir(parents=True, exist_ok=True)
    name = record.about["name"]
    header = list(dict.fromkeys(key for row in record.rows for key in row))
    cells = ([_cell(row.get(key)) for key in header] for row in record.rows)
    write_csv(folder / f"{name}.csv", header, cells)
    write_json(folder / f"{name}.json", record.about)


def read(data: Path) -> dict[str, Record]:
    """Every record below a folder, by STUDY/NAME. Raises ConfigError if one is damaged."""
    found = {}
    for path in sorted(data.glob("*/*.json")):
        try:
            about = provenance.read_json(path)
            record = Record(about, read_csv(path.with_suffix(".csv")))
            record.config()
            found[record.path] = record
        except FileNotFoundError:
            continue  # its CSV was deleted, so that the run is made again
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise ConfigError(f"{path} is damaged: {error}; delete it, and run it again") from error
    return found


def of_today(records: Records, run: Listed) -> Record | None:
    """The record of a run, if its settings are those of the list today."""
    record = records.get(run.path)
    return record if record is not None and record.config() == run.setting.config() else None


def read_csv(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file, numbers where they are numbers and None where a field is empty."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str | None) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _cell(value: Any) -> str:
    """Text that `read_csv` reads back; clocks and returns have six digits."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
