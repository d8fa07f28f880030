"""Commands: `python -m experiments.NAME`.

Ctrl-C while one still imports its libraries ends it in one line.
"""

import sys
from types import TracebackType

from dream_jax.hidden import say_what_is_hidden

say_what_is_hidden(__name__, __file__)


def _end_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"]:  # as Python has it while `python -m experiments.NAME` starts
    sys.excepthook = _end_in_one_line
