"""What is in a folder, and what one line of error is."""


def snapshot(folder):
    """Every file below `folder` with its content, every folder with None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def one_line(stderr):
    assert stderr.startswith("error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    return stderr
