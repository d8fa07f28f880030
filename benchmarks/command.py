"""What the benchmark commands share: flags, exit statuses, and results as JSON or text.

Flags and exit statuses are those of the experiments.
"""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from experiments.cli.command_line import CommandLine
from experiments.cli.process import exit_status


class Ended(RuntimeError):
    """What is measured ended before it was measured. The message is one line."""


def command_line(module: str, purpose: str) -> CommandLine:
    """The flags of `python -m benchmarks.<module>`, with `--json`."""
    line = CommandLine(f"benchmarks.{module}", purpose)
    line.switch("json", "print one JSON object and nothing else")
    return line


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    """The exit status: that of `main`, 0 for None; after one line on stderr 1 for `Ended`, and 2
    for bad input."""
    try:
        return exit_status(lambda: main(argv) or 0, "interrupted; nothing is kept")
    except Ended as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def show(result: dict[str, Any], as_json: bool) -> None:
    """Print a result as one JSON object, or as lines of text."""
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
