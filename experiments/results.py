"""`python -m experiments.results`: docs/results.md from the records of runs in docs/data.

Without flags it writes the tables and figures of docs/results.md anew. `--list` says which runs
have no record and how long they take. `--run=PATTERN` trains them, for example
`--run='comparison/map-*'`: each finished run leaves a record at once, and the same command goes on
after a stop. `--add=DIR` adds the record of a run that was trained elsewhere, with one seed or with
several at once.
"""

import glob
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.runs.folder import refuse_files
from dream_jax.runs.metrics import duration
from experiments.cli import process
from experiments.cli.command_line import CommandLine
from experiments.figures import estimates, page, records, studies, training_queue
from experiments.figures.listed_runs import Listed


class Options(NamedTuple):
    """What the command line asks for. At most one of the four is set; else the page is written."""

    add: str
    to: str
    pattern: str  # of --run
    list_missing: bool
    check: bool
    workers: int | None
    out: Path
    data: Path
    page: Path


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 page and data differ or a run failed, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return process.interruptible(
        lambda: run(parse(given)), "interrupted; the same command continues"
    )


def parse(argv: Sequence[str]) -> Options:
    """Raises ConfigError, one clear line. Writes nothing."""
    line = CommandLine("experiments.results", f"\n{__doc__}")
    line.text(
        "run", "", "train the listed runs STUDY/NAME that fit this pattern and have no record"
    )
    line.count("workers", None, "runs at once (default: one per core)")
    line.text("out", str(records.RUNS), "where --run puts the folders of runs")
    line.text("add", "", "add the record of the run in this folder; a pattern adds several")
    line.text("to", "", "the study that --add looks in (default: all)")
    line.switch("list", "list the runs without a record, with estimates of their time")
    line.switch("check", "exit with 1 if the page is not what the records give; writes nothing")
    line.text("data", str(records.DATA), "the folder of the records")
    line.text("page", str(records.DATA.parent / "results.md"), "the page")
    values = line.read(argv)
    asked = [name for name in ("run", "add", "list", "check") if getattr(values, name)]
    if len(asked) > 1:
        raise ConfigError(f"--{asked[0]} and --{asked[1]} exclude each other; give one")
    if values.to and not values.add:
        raise ConfigError(f"--to={values.to} needs --add=DIR")
    if values.to and values.to not in studies.STUDIES:
        near = configs.nearest(values.to, list(studies.STUDIES))
        raise ConfigError(f"--to={values.to}: no such study; {near}")
    if values.run:
        studies.matching(values.run)
        refuse_files(Path(values.out))
    where = Path(values.page)
    if (not asked and not where.is_file()) or (values.check and not where.is_file()):
        raise ConfigError(f"--page={where} is no file; give docs/results.md")
    return Options(
        values.add,
        values.to,
        values.run,
        values.list,
        values.check,
        values.workers,
        Path(values.out),
        Path(values.data),
        where,
    )


def run(options: Options) -> int:
    """Does what is asked. Returns the exit status."""
    if options.add:
        return add(options)
    jax.config.update("jax_platforms", "cpu")  # an accelerator is for the runs
    known = records.read(options.data)
    if options.pattern:
        return train(options, known)
    if options.list_missing:
        return list_missing(known)
    if options.check:
        found = page.differences(options.page, known)
        if found:
            text = f"{options.page} and {options.data} differ in: {', '.join(found)}"
            print(f"error: {text}; run python -m experiments.results", file=sys.stderr)
        return 1 if found else 0
    changed = page.write(options.page, known)
    print("\n".join(f"written to {path}" for path in changed) or "nothing has changed")
    return 0


def add(options: Options) -> int:
    """Copies the records of finished or stopped runs into the data folder."""
    folders = sorted(Path(found) for found in glob.glob(options.add))
    folders = [folder for folder in folders if folder.is_dir()]
    if not folders:
        raise ConfigError(f"--add={options.add}: no such folder; give the --out of a run")
    names = [options.to] if options.to else list(studies.STUDIES)
    made = []  # all of them before the first is written
    for folder in folders:
        made += [records.of_folder(folder, run) for run in records.match(folder, names)]
    paths = [record.path for record in made]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise ConfigError(f"--add={options.add}: two folders hold {twice}; give one of them")
    for record in made:
        records.write(options.data, record)
        print(f"{record.path}: {record.about['state']}, written to {options.data}")
    return 0


def train(options: Options, known: records.Records) -> int:
    """Trains what has no record, and adds each run as it lands. 1 if a run failed."""
    runs = studies.matching(options.pattern)
    left = [run for run in runs if not _is_there(known, run)]
    print(f"{len(runs)} listed runs, {len(runs) - len(left)} with a record")
    landed = 0
    for one in training_queue.train(left, options.out, options.workers, known):
        records.write(options.data, records.of_folder(one.folder, one.run))
        landed += 1
    print(f"{landed} records written to {options.data}; python -m experiments.results shows them")
    return 0 if landed == len(left) else 1


def list_missing(known: records.Records) -> int:
    """One line per setting with runs that have no record, and the sum."""
    every = [run for setting in studies.settings() for run in setting.runs()]
    left = [run for run in every if not _is_there(known, run)]
    for setting in dict.fromkeys(run.setting for run in left):
        mine = [run for run in left if run.setting == setting]
        seeds = ", ".join(str(run.first_seed) for run in mine)
        each = duration(estimates.seconds(mine[0], known))
        old = sum(run.path in known for run in mine)
        note = f"; {old} have a record that is stopped or of other settings" if old else ""
        print(f"{setting.study}/{setting.name}: seeds {seeds}, about {each} each{note}")
    cores = len(process.cores())
    hours = estimates.hours(left, known)
    print(
        f"{len(left)} of {len(every)} runs have no record: about {hours:.1f} hours of one core, "
        f"{hours / cores:.1f} on the {cores} cores here"
    )
    return 0


def _is_there(known: records.Records, run: Listed) -> bool:
    """Whether a run has a record of today's settings, and has ended."""
    record = records.of_today(known, run)
    return record is not None and (record.finished or record.failed)


if __name__ == "__main__":
    sys.exit(main())
