"""The library's own letters for the sign: strokes, drawn once into columns of bits."""

import itertools

import numpy as np

from dream_jax.envs.sign3d.world import SIGN_TEXTS

RESOLUTION = 32  # cells per letter in both directions, so that a column of cells fits a uint32
# For each letter: half the width of the pen, and the points (x, y) that each stroke joins. Both are
# in units of the letter's square, with y up. The letters imitate the handwriting, size and weight
# of Miniworld's.
_STROKES: dict[str, tuple[float, list[list[tuple[float, float]]]]] = {
    "B": (
        0.014,
        [
            [(0.36, 0.33), (0.4, 0.4), (0.42, 0.5), (0.43, 0.59), (0.52, 0.66), (0.6, 0.67)],
            [(0.6, 0.67), (0.65, 0.62), (0.61, 0.55), (0.55, 0.52), (0.62, 0.48), (0.62, 0.4)],
            [(0.62, 0.4), (0.55, 0.34), (0.46, 0.36), (0.4, 0.4)],
        ],
    ),
    "L": (0.024, [[(0.53, 0.6), (0.45, 0.42), (0.59, 0.43)]]),
    "U": (
        0.02,
        [
            [(0.38, 0.66), (0.35, 0.52), (0.35, 0.4), (0.41, 0.35), (0.53, 0.38), (0.6, 0.5)],
            [(0.62, 0.68), (0.62, 0.34)],
        ],
    ),
    "E": (
        0.027,
        [
            [(0.65, 0.68), (0.39, 0.65), (0.38, 0.35), (0.59, 0.36)],
            [(0.35, 0.5), (0.54, 0.51)],
        ],
    ),
    "R": (
        0.021,
        [
            [(0.37, 0.3), (0.37, 0.57), (0.41, 0.66), (0.48, 0.69), (0.56, 0.65), (0.57, 0.58)],
            [(0.57, 0.58), (0.51, 0.53), (0.41, 0.51)],
            [(0.52, 0.52), (0.6, 0.47), (0.62, 0.34), (0.66, 0.29)],
        ],
    ),
    "D": (
        0.025,
        [
            [(0.53, 0.6), (0.39, 0.43), (0.38, 0.37), (0.48, 0.37), (0.63, 0.52), (0.65, 0.6)],
            [(0.65, 0.6), (0.61, 0.63), (0.53, 0.6)],
        ],
    ),
    "G": (
        0.024,
        [
            [(0.6, 0.59), (0.53, 0.67), (0.42, 0.57), (0.36, 0.42), (0.41, 0.32), (0.58, 0.31)],
            [(0.58, 0.31), (0.6, 0.4), (0.66, 0.41), (0.46, 0.45)],
        ],
    ),
    "N": (
        0.024,
        [[(0.41, 0.39), (0.4, 0.57), (0.48, 0.55), (0.58, 0.39), (0.62, 0.47), (0.58, 0.6)]],
    ),
}


def ink(letter: str) -> np.ndarray:
    """Where a letter has ink: [RESOLUTION, RESOLUTION] bool, column from the left, row from the
    bottom. Raises KeyError for a letter that the sign does not use."""
    centres = (np.arange(RESOLUTION) + 0.5) / RESOLUTION
    points = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1)
    drawn = np.zeros(points.shape[:2], bool)
    pen, strokes = _STROKES[letter]
    for start, end in (pair for stroke in strokes for pair in itertools.pairwise(stroke)):
        along = np.subtract(end, start)
        share = np.clip((points - start) @ along / (along @ along), 0, 1)
        drawn |= np.linalg.norm(points - start - share[..., None] * along, axis=-1) <= pen
    return drawn


def _columns(text: str) -> np.ndarray:
    """[5 * RESOLUTION] uint32: bit k of a column is row k from the bottom. White after the text."""
    bits = np.concatenate([ink(letter) for letter in text])
    columns = np.zeros(5 * RESOLUTION, np.uint64)
    columns[: len(bits)] = (bits.astype(np.uint64) << np.arange(RESOLUTION, dtype=np.uint64)).sum(1)
    return columns.astype(np.uint32)


INK_COLUMNS = np.stack([_columns(text) for text in SIGN_TEXTS])  # [3, 5 * RESOLUTION] uint32
