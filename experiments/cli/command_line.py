"""Reads the flags of a command, with absl. Experiments and benchmarks share it.

Its messages for bad flags are one line, which `process.exit_status` prints.
"""

import math
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from absl import flags

from dream_jax.config import ConfigError, nearest

# absl reads these anywhere: one adds flags from a file, the other hides unknown flags.
_REFUSED = ("flagfile", "undefok")


class CommandLine:
    """The flags of one command. Define them, then `read` the command line."""

    def __init__(self, module: str, about: str = ""):
        """
        Args:
          module: of the command, for example "experiments.bus"; `--help` shows it.
          about: more text for `--help`.
        """
        self.values = flags.FlagValues()
        self._module, self._about = module, about
        self._flags: dict[str, tuple[str, Any]] = {}  # by name: text for --help, default
        self._exclusive: list[tuple[str, str]] = []

    def text(self, name: str, default: str | None, about: str) -> None:
        self._define(flags.ArgumentParser(), name, default, about)

    def switch(self, name: str, about: str, short_name: str | None = None) -> None:
        """A flag that is off by default."""
        self._define(_Switch(), name, False, about, short_name)

    def count(self, name: str, default: int | None, about: str, least: int = 1) -> None:
        """A whole number of at least `least`."""
        self._define(_Count(least), name, default, about)

    def counts(self, name: str, default: str, about: str) -> None:
        """Different whole numbers of at least 1, separated by commas; read as a tuple."""
        self._define(_Counts(), name, default, about)

    def number(
        self, name: str, default: float | None, about: str, above: float = -math.inf
    ) -> None:
        """A finite number, larger than `above`."""
        self._define(_Number(above), name, default, about)

    def exclusive(self, one: str, other: str) -> None:
        """Refuse these two switches together."""
        self._exclusive.append((one, other))

    def given(self, name: str) -> bool:
        """Whether the command line has this flag."""
        return bool(self.values[name].present)

    def read(self, argv: Sequence[str]) -> Any:
        """The values, as attributes. With `--help` it prints the flags and exits.

        Raises:
          ConfigError: a bad value, or an argument that is no flag of this command.
        """
        values, rest = self.read_known(argv)
        self.refuse(rest)
        return values

    def read_known(self, argv: Sequence[str], anywhere: bool = False) -> tuple[Any, list[str]]:
        """The values, and the arguments that are not flags of this command.

        Args:
          argv: the arguments.
          anywhere: flags may also follow other words.

        Raises:
          ConfigError: a bad value.
        """
        for word in argv:
            name = word.lstrip("-").partition("=")[0]
            if word.startswith("-") and name in _REFUSED:
                raise ConfigError(f"--{name} is not supported; write each flag on the command line")
        self.values.set_gnu_getopt(anywhere)
        self.switch("help", "show this text and exit", short_name="h")
        try:
            rest = self.values([self._module, *argv], known_only=True)[1:]
        except (flags.Error, ValueError) as error:  # the latter: --noNAME=VALUE
            raise ConfigError(_message(error)) from error
        if self.values.help:
            print(self.help_text())
            sys.exit(0)
        for one, other in self._exclusive:
            if self.values[one].value and self.values[other].value:
                raise ConfigError(f"--{one} and --{other} exclude each other; give one")
        return self.values, rest

    def help_text(self) -> str:
        """The text of `--help`: every flag, in the order of definition."""
        lines = [f"usage: python -m {self._module} [flags]", *self._about.splitlines(), "flags:"]
        for name, (about, default) in self._flags.items():
            switch = self.values[name].boolean
            about += f" (default: {default})" if default and not switch else ""
            lines.append(f"  --{name}" if switch else f"  --{name}=VALUE")
            lines += textwrap.wrap(about, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join(lines)

    def refuse(self, rest: Sequence[str]) -> None:
        """Raises ConfigError if any argument is left in `rest`."""
        if rest:
            known = [f"--{name}" for name in self._flags]
            near = nearest(rest[0].partition("=")[0], known)
            raise ConfigError(f"unknown argument {rest[0]!r}; {near}")

    def _define(
        self,
        parser: flags.ArgumentParser,
        name: str,
        default: Any,
        about: str,
        short_name: str | None = None,
    ) -> None:
        self._flags[name] = about, default
        boolean = isinstance(parser, _Switch)
        flag: flags.Flag = flags.Flag(parser, None, name, default, about, short_name, boolean)
        flags.DEFINE_flag(flag, self.values)


def _message(error: Exception) -> str:
    """One line, without absl's own words."""
    text = " ".join(str(error).split()).removeprefix("flag ").replace(": must", " must", 1)
    return re.sub("^Missing value for flag (.*)$", r"\1 needs a value: \1=VALUE", text)


class _Switch(flags.ArgumentParser):
    def parse(self, argument: Any) -> bool:
        values = {"true": True, "1": True, "false": False, "0": False}
        if str(argument).lower() not in values:
            raise ValueError("must be true or false")
        return values[str(argument).lower()]


class _Count(flags.ArgumentParser):
    def __init__(self, least: int = 1):
        self._least = least

    def parse(self, argument: Any) -> int:
        try:
            value = int(argument)
        except ValueError:
            raise ValueError(f"must be a whole number like {max(3, self._least)}") from None
        if value < self._least:
            raise ValueError(f"must be at least {self._least}")
        return value


class _Counts(flags.ArgumentParser):
    def parse(self, argument: Any) -> tuple[int, ...]:
        if isinstance(argument, tuple):
            return argument
        values = tuple(_Count().parse(word.strip()) for word in argument.split(","))
        if len(set(values)) < len(values):
            raise ValueError("must name each number once")
        return values


class _Number(flags.ArgumentParser):
    def __init__(self, above: float = -math.inf):
        self._above = above

    def parse(self, argument: Any) -> float:
        try:
            value = float(argument)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError("must be a number like 0.5")
        if value <= self._above:
            raise ValueError(f"must be above {self._above:g}")
        return value
