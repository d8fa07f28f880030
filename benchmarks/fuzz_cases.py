"""The cases of `benchmarks.fuzz`: what is wrong with each, as hypothesis strategies."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dream_jax import presets
from dream_jax.config import Config, paths, to_dict
from dream_jax.envs.grids.bus import Map
from dream_jax.runs import agent_file, checkpoint, folder
from dream_jax.types import Env

BENCHMARKS = ("map", "bus", "distracting_bus", "cooking")
FIELDS = tuple(paths(to_dict(Config())))
_FLAGS = (
    "config",
    "seeds",
    "first_seed",
    "out",
    "resume",
    "overwrite",
    "smoke",
    "print_config",
    "allow_changes",
    "init_from",
    "help",
)
FAMILY = "dream_jax_fuzzed_family"  # a module that is made for a case

# Values that were seen to slip through somewhere, in this project or in others.
NASTY = (
    "",
    " ",
    "0",
    "-1",
    "-0.0",
    "1",
    "2",
    "3",
    "1e30",
    "1e-30",
    "1e300",
    "1e999",
    "-1e30",
    "inf",
    "-inf",
    "nan",
    "NaN",
    "None",
    "null",
    "true",
    "True",
    "no",
    "0.5",
    "1_000",
    "0x10",
    "1,2",
    "[1,2]",
    "()",
    "[[1]]",
    "{}",
    "2147483647",
    "2147483648",
    "9" * 40,
    "1e5",
    "٣",
    "½",
    "é\n",
    "\x00",
    "\ud800",
    "a" * 3_000,
    "../..",
    "/dev/null",
    "os:system",
    "__import__('os')",
    "$(reboot)",
    "%s%n",
    "--resume",
)
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    2**70,
    1.5,
    -1e30,
    1e999,
    "",
    "x",
    [],
    [None],
    {},
    {"a": 1},
)


class Case(NamedTuple):
    """One case. `prepare` writes the files that it needs into an empty folder."""

    kind: str
    benchmark: str
    words: tuple[str, ...]  # the arguments of a command; {folder} stands for the folder
    prepare: Callable[[Path], None]
    about: str  # what is wrong

    def __repr__(self) -> str:
        return f"{self.kind}, {self.benchmark} {list(self.words)!r}, {self.about}"


def nothing(where: Path) -> None:
    """A case without files."""


def strategy() -> Any:
    """All cases, each kind as often as any other."""
    from hypothesis import strategies as st

    makers = (_flags, _overrides, _file, _run, _checkpoint, _agent, _family)
    return st.one_of([maker(st) for maker in makers])


def _values(st: Any) -> Any:
    """A value as text: mostly nasty, sometimes any."""
    numbers = st.one_of(st.integers(), st.floats()).map(str)
    return st.one_of(st.sampled_from(NASTY), numbers, st.text(max_size=20))


def _flags(st: Any) -> Any:
    names = [*_FLAGS, "config.td", "flagfile", "undefok", "seed", "norsume", "noresume"]
    word = st.one_of(
        st.builds("--{}={}".format, st.sampled_from(names), _values(st)),
        st.builds("--{}".format, st.sampled_from(names)),
        st.builds("--config={}".format, st.sampled_from(presets.names())),
        st.text(max_size=10),
    )
    words = st.lists(word, max_size=5)
    out = st.sampled_from(("--out={folder}/run", "--out={folder}/a/b/c"))
    return st.builds(
        lambda name, words, out: Case("flags", name, (*words, out), nothing, ""),
        st.sampled_from(BENCHMARKS),
        words,
        out,
    )


def _overrides(st: Any) -> Any:
    path = st.one_of(st.sampled_from(FIELDS), st.sampled_from(FIELDS).map(lambda x: x[:-1]))
    word = st.builds("--config.{}={}".format, path, _values(st))
    preset = st.sampled_from(presets.names())

    def case(name: str, preset: str, words: list[str], smoke: bool) -> Case:
        shared = (f"--config={preset}", "--out={folder}/run", *(("--smoke",) if smoke else ()))
        return Case("overrides", name, (*shared, *words), nothing, "")

    words = st.lists(word, min_size=1, max_size=3)
    return st.builds(case, st.sampled_from(BENCHMARKS), preset, words, st.booleans())


def _document(st: Any, begin: Callable[[], Any]) -> Any:
    """The bytes of a JSON file that something is wrong with."""

    def replaced(steps: list[int], junk: Any, drop: bool) -> bytes:
        document = begin()
        node = document
        for step in steps:
            keys = list(node) if isinstance(node, dict) else []
            if not keys:
                break
            key = keys[step % len(keys)]
            if isinstance(node[key], dict) and step != steps[-1]:
                node = node[key]
            elif drop:
                del node[key]
                break
            else:
                node[key] = junk
                break
        return json.dumps(document).encode()

    def cut(at: float) -> bytes:
        text = json.dumps(begin()).encode()
        return text[: int(at * len(text))]

    def flipped(at: float, bit: int) -> bytes:
        text = bytearray(json.dumps(begin()).encode())
        text[int(at * (len(text) - 1))] ^= 1 << bit
        return bytes(text)

    steps = st.lists(st.integers(0, 40), min_size=1, max_size=4)
    share = st.floats(0, 1, exclude_max=True)
    return st.one_of(
        st.builds(replaced, steps, st.sampled_from(JUNK), st.booleans()),
        st.builds(cut, share),
        st.builds(flipped, share, st.integers(0, 7)),
        st.binary(max_size=40),
        st.sampled_from((b"[" * 100_000, b"{}", b"null", b'{"config": {}}', b"NaN")),
    )


def _record() -> dict[str, Any]:
    """The contents of a run's config.json."""
    config = presets.smoke(presets.get("map", "dream"))
    return {"schema_version": 2, "config": to_dict(config), "seeds": [0, 1], "versions": {}}


def _file(st: Any) -> Any:
    def case(data: bytes) -> Case:
        words = ("--config={folder}/mine.json", "--out={folder}/run")
        return Case("file", "map", words, lambda x: _write(x / "mine.json", data), repr(data[:200]))

    fields = _document(st, lambda: _record()["config"])
    return st.builds(case, st.one_of(_document(st, _record), fields))


def _run(st: Any) -> Any:
    def case(data: bytes, words: list[str]) -> Case:
        def prepare(where: Path) -> None:
            _write(where / "run" / folder.RUN_FILE, data)

        return Case(
            "run", "map", ("--resume", "--out={folder}/run", *words), prepare, repr(data[:200])
        )

    word = st.sampled_from(
        ("--seeds=3", "--first_seed=1", "--allow_changes", "--smoke", "--config=dream")
    )
    return st.builds(case, _document(st, _record), st.lists(word, max_size=3))


def _checkpoint(st: Any) -> Any:
    def case(number: int, at: float, how: str) -> Case:
        def prepare(where: Path) -> None:
            for step in (1, 2):
                state = {"x": np.full(64, float(step)), "n": np.array(step, np.int32)}
                checkpoint.save(where / "checkpoints", step, state, {"step_was": step})
            files = sorted(x for x in (where / "checkpoints" / "2").rglob("*") if x.is_file())
            _damage(files[number % len(files)], at, how)

        return Case("checkpoint", "", (), prepare, f"file {number} {how} at {at}")

    how = st.sampled_from(("cut", "flipped", "deleted", "emptied"))
    return st.builds(case, st.integers(0, 30), st.floats(0, 1, exclude_max=True), how)


def _agent(st: Any) -> Any:
    def case(at: float, how: str) -> Case:
        def prepare(where: Path) -> None:
            config = presets.smoke(presets.get("map", "dream"))
            agent_file.write(where / "agent.npz", config, {"x": np.arange(64)}, 0, 64)
            _damage(where / "agent.npz", at, how)

        return Case("agent", "", (), prepare, f"{how} at {at}")

    def pickled(_: None) -> Case:
        def prepare(where: Path) -> None:
            hostile: Any = np.array([_Hostile()], object)
            np.savez(where / "agent.npz", about=hostile)

        return Case("agent", "", (), prepare, "it holds a pickle")

    how = st.sampled_from(("cut", "flipped", "emptied"))
    damaged = st.builds(case, st.floats(0, 1, exclude_max=True), how)
    return st.one_of(damaged, st.none().map(pickled))


class _Hostile:
    """Ends the process where it is unpickled."""

    def __reduce__(self) -> Any:
        return sys.exit, ("code of a file was run",)


def _family(st: Any) -> Any:
    names = [*Env.__annotations__, *(x for x in vars(Env) if not x.startswith("_")), "settings"]

    def broken(junk: Any) -> Callable[..., Any]:
        return lambda *_, **__: junk

    def case(name: str, junk: Any, called: bool) -> Case:
        def prepare(where: Path) -> None:
            module: Any = types.ModuleType(FAMILY)
            module.Broken = type("Broken", (Map,), {name: broken(junk) if called else junk})
            sys.modules[FAMILY] = module

        about = f"{name} is {junk!r}, {'a function of it' if called else 'itself'}"
        return Case("family", f"{FAMILY}:Broken", (), prepare, about)

    def named(text: str) -> Case:
        return Case("family", text, (), nothing, "no such family")

    words = st.one_of(st.sampled_from(NASTY), st.text(max_size=12))
    missing = st.builds("{}:{}".format, words, words).map(named)
    damaged = st.builds(case, st.sampled_from(names), st.sampled_from(JUNK), st.booleans())
    return st.one_of(damaged, damaged, missing)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _damage(path: Path, at: float, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
        return
    if how == "flipped" and data:
        data[int(at * len(data))] ^= 1
    path.write_bytes(
        b"" if how == "emptied" else data[: int(at * len(data))] if how == "cut" else data
    )
