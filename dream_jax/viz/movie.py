"""MP4s of pictures, by ffmpeg: the one of the package imageio-ffmpeg, or else one on the PATH."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FRAMES_PER_S = 20
_TO_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"  # H.264 takes even sizes only


def ffmpeg() -> str | None:
    """The path of the program; None: there is none."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg")


def save(file: str | Path, images: Sequence[np.ndarray], durations_ms: Sequence[int]) -> None:
    """Write pictures as H.264.

    Args:
      file: the path of the MP4, which is replaced.
      images: [H, W, 3] uint8, all of one size.
      durations_ms: how long each is shown.

    Raises:
      OSError: there is no ffmpeg, or it fails.
    """
    program = ffmpeg()
    if program is None:
        raise OSError("there is no ffmpeg for an MP4; pip install imageio-ffmpeg, or write a GIF")
    height, width, _ = images[0].shape
    given = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {FRAMES_PER_S} -i pipe:0".split()
    made = ["-vf", _TO_EVEN, "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    words = [program, "-loglevel", "error", "-y", *given, *made, os.fspath(file)]
    data = b"".join(
        image.tobytes() * max(1, round(duration * FRAMES_PER_S / 1000))
        for image, duration in zip(images, durations_ms, strict=True)
    )
    done = subprocess.run(words, input=data, capture_output=True)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise OSError(f"ffmpeg cannot write {file}: {reason[-1]}")
