"""`python -m experiments.evaluate --checkpoint=DIR` or `--pretrained=NAME`: see docs/usage.md."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import ConfigError, nearest
from dream_jax.envs.grids import bus, cooking
from dream_jax.envs.splits import split_names
from dream_jax.runs import pretrained
from dream_jax.runs.folder import RUN_FILE, refuse_files
from dream_jax.runs.live_line import busy
from dream_jax.runs.load import BEST, NEWEST, LoadedRun, load_run
from dream_jax.runs.metrics import to_json
from dream_jax.viz import movie
from experiments.analyses import bus_rides, fridges, miniworld, shown, sign_decoding
from experiments.cli import flags as cli
from experiments.cli import process as common
from experiments.cli import which_agent
from experiments.cli.command_line import CommandLine
from experiments.report import page_file

MINIWORLD = "miniworld_sign"
FILMS = ("gif", "mp4")
MOST_PROBLEMS = 24  # that are printed one by one


class Request(NamedTuple):
    folder: Path | None  # of a run
    pretrained: str  # the name of an agent that ships, where there is no folder
    at: str  # the checkpoint of the folder
    world: str | None  # None: the benchmark it was trained on
    trials: int
    problems: tuple[int, ...]  # of table, films and page; empty: chosen by each
    out: Path | None  # for films
    film: str  # "gif" or "mp4"
    page: Path | None
    table: Path | None
    watch: bool
    as_json: bool
    overrides: dict[str, str]
    command: str


def parse(argv: list[str]) -> Request:
    """Raises ConfigError, one clear line."""
    line = CommandLine("experiments.evaluate")
    which_agent.define(line)
    line.text("at", NEWEST, f"the checkpoint: {NEWEST}, {BEST}, or a number of trials")
    line.text("env", "", f"{MINIWORLD}: the real Miniworld; by default the run's own benchmark")
    line.count("trials", 100, "trials of each split and seed, at least")
    line.text("problems", "", "problem ids, as 3,7: those of the table, the films and the page")
    line.switch("watch", "play a trial in the terminal first")
    line.text("page", "", "write a page that plays trials, with the returns of each problem")
    line.text("table", "", "write the returns of each problem as CSV")
    line.text("out", "", "write films of trials into this folder")
    line.text("film", "gif", "what --out writes: gif or mp4")
    line.switch("json", "print one JSON object")
    plain, overrides = cli.split_overrides(argv)
    values = line.read(plain)
    which_agent.check(values)
    if values.pretrained and values.at != NEWEST:
        raise ConfigError(f"--at={values.at} is for --checkpoint; an agent that ships is one file")
    if values.env not in ("", MINIWORLD):
        raise ConfigError(f"unknown --env={values.env!r}; valid: {MINIWORLD}, or leave it out")
    if values.env:
        for name in ("page", "table", "problems", "watch"):
            if getattr(values, name):
                raise ConfigError(f"--{name} is not for --env={MINIWORLD}; leave it out")
    if values.watch and values.json:
        raise ConfigError("--watch and --json exclude each other; give one")
    return Request(
        Path(values.checkpoint) if values.checkpoint else None,
        values.pretrained,
        values.at,
        values.env or None,
        values.trials,
        _problems(values.problems),
        _new_folder(values.out, values.film),
        values.film,
        page_file(values.page, "page") if values.page else None,
        _new_file(values.table),
        values.watch,
        values.json,
        overrides,
        shlex.join(["python", "-m", "experiments.evaluate", *argv]),
    )


def _problems(text: str) -> tuple[int, ...]:
    try:
        numbers = [int(word) for word in text.split(",")] if text else []
    except ValueError:
        numbers = [-1]
    if any(number < 0 for number in numbers):
        raise ConfigError(f"--problems={text} must be problem ids, for example 3,7")
    return tuple(dict.fromkeys(numbers))


def _new_folder(name: str, film: str) -> Path | None:
    """The folder for films. Raises ConfigError if it has some already, or they cannot be made."""
    if film not in FILMS:
        raise ConfigError(f"unknown --film={film!r}; {nearest(film, FILMS)}")
    if not name and film != FILMS[0]:
        raise ConfigError(
            f"--film={film} needs the folder that films go to, for example --out=films"
        )
    if film == "mp4" and movie.ffmpeg() is None:
        raise ConfigError(f"--film={film} needs ffmpeg: pip install imageio-ffmpeg, or --film=gif")
    if not name:
        return None
    out = Path(name)
    refuse_files(out)
    if any(out.glob(f"*.{film}")):
        words = f"{film.upper()}s"
        raise ConfigError(f"--out={out} holds {words} already; give another folder")
    return out


def _new_file(name: str) -> Path | None:
    if not name:
        return None
    file = Path(name)
    refuse_files(file.parent)
    if file.exists():
        raise ConfigError(f"--table={file} exists; give another name")
    return file


def run(request: Request) -> dict[str, Any]:
    """What the command prints, as a dict. Raises ConfigError if the run cannot be evaluated so."""
    common.set_up_jax()
    if request.folder is None:
        loaded = pretrained.load_run(request.pretrained, request.overrides)
    else:
        loaded = load(request.folder, request.overrides, request.at)
    shown.check_problems(loaded, request.problems)
    result: dict[str, Any] = {
        "checkpoint": str(request.folder or f"{pretrained.PREFIX}{request.pretrained}"),
        "trained_trials": loaded.trials,
        "env": request.world or loaded.config.benchmark,
        "seeds": loaded.seeds,
        "overrides": request.overrides,
    }
    if request.world is not None:
        return result | miniworld.run(loaded, request.trials, request.out, request.film)
    if request.watch:
        shown.in_terminal(loaded, request.problems)
    with busy("compiling and evaluating"):
        result["splits"] = loaded.programs.evaluate(
            loaded.params, request.trials, split_names(loaded.env)
        )
    with busy("compiling and playing chosen trials"):
        result |= show(loaded, result, request)
    if request.problems:
        for part in result["splits"].values():
            rows = part["problems"]
            part["problems"] = [row for row in rows if row["problem"] in request.problems]
    with busy("compiling and analysing exploration"):
        return result | analyse(loaded, request.trials)


def show(loaded: LoadedRun, result: dict[str, Any], request: Request) -> dict[str, Any]:
    """Write the films, the page and the table that were requested. Returns the films' names."""
    films = {}
    if request.out is not None:
        names = shown.films(loaded, request.problems, request.out, request.film)
        films[f"{request.film}s"] = names
    if request.page is not None:
        shown.page(loaded, result | {"command": request.command}, request.problems, request.page)
    if request.table is not None:
        rows = shown.table(loaded, result, request.problems)
        request.table.parent.mkdir(parents=True, exist_ok=True)
        request.table.write_text(shown.as_csv(rows), encoding="utf-8")
    return films


def load(folder: Path, overrides: dict[str, str], at: str = NEWEST) -> LoadedRun:
    """A checkpoint of a run. Raises ConfigError if there is none that can be read."""
    if not (folder / RUN_FILE).is_file():
        raise ConfigError(f"--checkpoint={folder} holds no run (no {RUN_FILE}); give its --out")
    try:
        return load_run(folder, overrides, at)
    except ConfigError as error:
        about_folder = str(error).startswith(str(folder))
        raise ConfigError(f"--checkpoint={error}" if about_folder else str(error)) from error


def analyse(loaded: LoadedRun, trials: int) -> dict[str, Any]:
    """What exploration did, where the benchmark has an analysis of that."""
    agent, env, params = loaded.agent, loaded.env, loaded.params
    if loaded.config.benchmark == "sign" and isinstance(agent, DreamPolicy):
        return {"reading": sign_decoding.accuracy(loaded, trials)}
    if isinstance(env, bus.Bus):
        return {"exploration": bus_rides.rides(agent, params, "test", trials)}
    if isinstance(env, cooking.Cooking):
        splits = split_names(env)
        return {"fridges": {s: fridges.fridges(agent, params, s, trials) for s in splits}}
    return {}


def describe(result: dict[str, Any]) -> str:
    lines = [f"{result['checkpoint']} after {result['trained_trials']:,} trials, {result['env']}"]
    if result["overrides"]:
        changes = ", ".join(f"{path}={value}" for path, value in result["overrides"].items())
        lines.append(f"evaluated with {changes}")
    for name, part in (result.get("splits") or {"real": result}).items():
        per_seed = ", ".join(f"{value:.3f}" for value in part["return_per_seed"])
        lines.append(f"{name:10}  {part['trials']} trials  return per seed {per_seed}")
        if "optimal" in part:
            lines.append(f"{'':10}  {_beside(part)}")
    chosen = [row for part in result.get("splits", {}).values() for row in part["problems"]]
    if len(chosen) <= MOST_PROBLEMS:
        lines += [
            f"problem {row['problem']}: return {row['return_mean']:.3f}, "
            f"{row['exploration_length']:.1f} exploration steps"
            for row in chosen
        ]
    for name, part in result.get("reading", {}).items():
        for what in ("saw", "never_saw"):
            if part[f"trials_{what}"]:
                lines.append(
                    f"{name} exploration, {what.replace('_', ' ')} the sign: "
                    f"{part[f'trials_{what}']} trials, z read right {part[f'accuracy_{what}']:.3f}"
                )
    for kind, part in result.get("exploration", {}).items():
        buses, rides = (
            ", ".join(f"{value:.2f}" for value in part[f"{what}_per_seed"])
            for what in ("buses_ridden", "rides")
        )
        lines.append(f"{kind} buses ridden while exploring, per seed: {buses} (rides: {rides})")
    for name, seeds in result.get("fridges", {}).items():
        for seed, part in zip(result["seeds"], seeds, strict=True):
            shares = ", ".join(
                f"{k} in {share:.2f} (return {value:.2f})"
                for k, (share, value) in enumerate(zip(part["share"], part["return"], strict=True))
                if share
            )
            lines.append(f"{name:5}  seed {seed}, fridges opened while exploring: {shares}")
    return "\n".join(lines)


def _beside(part: dict[str, Any]) -> str:
    """The oracles' returns of a split, and the returns normalised by them."""
    names = [name for name in ("optimal", "no_exploration", "no_reading") if name in part]
    known = ", ".join(
        f"{name.replace('_', ' ')} "
        + ("none" if part[name] is None or not np.isfinite(part[name]) else f"{part[name]:.3f}")
        for name in names
    )
    shares = ", ".join("none" if x is None else f"{x:.3f}" for x in part["normalised_per_seed"])
    return f"{known}, normalised per seed {shares}"


def main(argv: list[str]) -> int:
    """Exit status: 0 done, 1 a file could not be written, 2 bad input, 130 interrupted."""

    def work() -> int:
        request = parse(argv)
        result = run(request)
        print(json.dumps(to_json(result)) if request.as_json else describe(result))
        for name in ("page", "table", "out"):
            written = getattr(request, name)
            if written and not request.as_json:
                print(f"written to {written}")
        return 0

    return common.exit_status(work, "interrupted; nothing is kept but films written so far")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
