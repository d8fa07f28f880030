"""Says so where a top-level package of this project hides a folder of the user's.

The wheel installs `experiments` and `benchmarks` beside `dream_jax`. A folder with such a name but
without an `__init__.py`, in the folder that Python starts in, is then not what `import` finds.
"""

import sys
from pathlib import Path


def say_what_is_hidden(package: str, file: str) -> None:
    """Print one line on stderr if a package hides a folder of Python files of the same name.

    Args:
      package: its name.
      file: its `__init__.py`.
    """
    ours = Path(file).resolve().parent
    for entry in sys.path:
        folder = Path(entry or ".").resolve() / package
        if folder == ours:
            return
        if folder.is_dir() and any(folder.glob("*.py")):
            print(
                f"{package} is the package of dream_jax in {ours}; Python does not find {folder}, "
                "which has no __init__.py",
                file=sys.stderr,
            )
            return
