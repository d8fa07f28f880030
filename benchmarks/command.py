"""What the benchmark commands share: one clear line for bad input, JSON or text for results."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


class BadInput(ValueError):
    """The message is one line for the user."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(message)


def parser(module: str, purpose: str) -> argparse.ArgumentParser:
    """With `--json`; a mistake on the command line raises BadInput."""
    made = _Parser(prog=f"python -m benchmarks.{module}", description=purpose, allow_abbrev=False)
    made.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    return made


def count(text: str) -> int:
    """A flag's type: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def counts(text: str) -> tuple[int, ...]:
    """A flag's type: such numbers, each once."""
    numbers = tuple(count(word.strip()) for word in text.split(","))
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: give each once")
    return numbers


def run(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Exit status: 0, or 2 after one line on stderr."""
    try:
        main(argv)
    except BadInput as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        if isinstance(value, dict):
            print(name)
            for inner, number in value.items():
                print(f"  {inner}: {number}")
        else:
            print(f"{name}: {value}")
