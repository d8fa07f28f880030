"""Letters of our own for the sign: strokes, drawn once into columns of bits."""

import numpy as np

from dream_jax.envs.sign_world import SIGN_TEXTS

RESOLUTION = 32  # cells to a letter, each way: a column of cells fits a uint32
_PEN = 0.028  # half the width of a stroke, in letters
# Strokes from (x, y) to (x, y), y up, in a letter's unit square.
_STROKES = {
    "B": [
        (0.36, 0.3, 0.36, 0.7),
        (0.36, 0.7, 0.56, 0.68),
        (0.56, 0.68, 0.6, 0.6),
        (0.6, 0.6, 0.54, 0.52),
        (0.54, 0.52, 0.36, 0.5),
        (0.54, 0.52, 0.63, 0.42),
        (0.63, 0.42, 0.58, 0.32),
        (0.58, 0.32, 0.36, 0.3),
    ],
    "L": [(0.4, 0.7, 0.4, 0.3), (0.4, 0.3, 0.62, 0.3)],
    "U": [
        (0.36, 0.7, 0.36, 0.4),
        (0.36, 0.4, 0.43, 0.31),
        (0.43, 0.31, 0.56, 0.31),
        (0.56, 0.31, 0.63, 0.4),
        (0.63, 0.4, 0.63, 0.7),
    ],
    "E": [
        (0.38, 0.3, 0.38, 0.7),
        (0.38, 0.7, 0.62, 0.7),
        (0.38, 0.5, 0.58, 0.5),
        (0.38, 0.3, 0.62, 0.3),
    ],
    "R": [
        (0.38, 0.3, 0.38, 0.7),
        (0.38, 0.7, 0.56, 0.69),
        (0.56, 0.69, 0.62, 0.6),
        (0.62, 0.6, 0.56, 0.51),
        (0.56, 0.51, 0.38, 0.5),
        (0.5, 0.5, 0.63, 0.3),
    ],
    "D": [
        (0.37, 0.3, 0.37, 0.7),
        (0.37, 0.7, 0.53, 0.68),
        (0.53, 0.68, 0.63, 0.58),
        (0.63, 0.58, 0.63, 0.42),
        (0.63, 0.42, 0.53, 0.32),
        (0.53, 0.32, 0.37, 0.3),
    ],
    "G": [
        (0.62, 0.64, 0.52, 0.7),
        (0.52, 0.7, 0.42, 0.66),
        (0.42, 0.66, 0.36, 0.5),
        (0.36, 0.5, 0.42, 0.33),
        (0.42, 0.33, 0.54, 0.3),
        (0.54, 0.3, 0.63, 0.38),
        (0.63, 0.38, 0.63, 0.48),
        (0.63, 0.48, 0.5, 0.48),
    ],
    "N": [(0.37, 0.3, 0.37, 0.7), (0.37, 0.7, 0.63, 0.3), (0.63, 0.3, 0.63, 0.7)],
}


def ink(letter: str) -> np.ndarray:
    """[RESOLUTION, RESOLUTION] bool, indexed [column from the left, row from the bottom]."""
    centres = (np.arange(RESOLUTION) + 0.5) / RESOLUTION
    points = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1)
    drawn = np.zeros(points.shape[:2], bool)
    for x0, y0, x1, y1 in _STROKES[letter]:
        start, along = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
        share = np.clip((points - start) @ along / (along @ along), 0, 1)
        nearest = start + share[..., None] * along
        drawn |= np.linalg.norm(points - nearest, axis=-1) <= _PEN
    return drawn


def _columns(text: str) -> np.ndarray:
    """[5 * RESOLUTION] uint32: bit k of a column is row k from the bottom; then white."""
    bits = np.concatenate([ink(letter) for letter in text])
    columns = np.zeros(5 * RESOLUTION, np.uint64)
    columns[: len(bits)] = (bits.astype(np.uint64) << np.arange(RESOLUTION, dtype=np.uint64)).sum(1)
    return columns.astype(np.uint32)


INK_COLUMNS = np.stack([_columns(text) for text in SIGN_TEXTS])  # [3, 5 * RESOLUTION] uint32
