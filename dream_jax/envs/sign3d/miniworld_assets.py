"""Textures and the key's mesh, read from the installed package miniworld; no copy is kept here."""

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dream_jax.envs.sign3d import world as sign_world

WALL, FLOOR, CEILING = range(3)
_ROOM_FILES = ("concrete_1", "floor_tiles_bw_1", "concrete_tiles_1")
_LETTERS = "".join(sorted(set("".join(sign_world.SIGN_TEXTS))))


class Textures(NamedTuple):
    """All mipmap levels of T textures, one texel after another."""

    texels: np.ndarray  # [texels] uint32, red + 256 green + 65536 blue; rows from bottom to top
    start: np.ndarray  # [T, levels] int32, index of each level's first texel
    size: np.ndarray  # [T] int32, width and height of level 0, in texels
    levels: np.ndarray  # [T] int32, number of levels


class KeyMesh(NamedTuple):
    """A key on the floor, of F triangles, in metres. Its long axis is local z."""

    corners: np.ndarray  # [F, 3, 3] float32, (x, y, z) of each corner, front faces anticlockwise
    normals: np.ndarray  # [F, 3, 3] float32, unit length


def letter_textures() -> np.ndarray:
    """[3, 5] int32: texture index of each letter. Short texts repeat their last letter."""
    rows = [[3 + _LETTERS.index(letter) for letter in text] for text in sign_world.SIGN_TEXTS]
    return np.array([row + row[-1:] * (5 - len(row)) for row in rows], np.int32)


@functools.cache
def textures() -> Textures:
    """Wall, floor, ceiling, then the letters. Raises ImportError if miniworld is not installed."""
    folder = _folder() / "textures"
    names = [*_ROOM_FILES, *(f"chars/ch_0x{ord(letter)}_1" for letter in _LETTERS)]
    chains = [_mipmaps(_read(folder / f"{name}.png")) for name in names]
    levels = np.array([len(chain) for chain in chains], np.int32)
    start = np.zeros((len(chains), np.max(levels)), np.int32)
    flat, used = [], 0
    for row, chain in zip(start, chains, strict=True):
        for level, image in enumerate(chain):
            row[level] = used
            flat.append((image.astype(np.uint32) << np.array([0, 8, 16], np.uint32)).sum(-1))
            used += flat[-1].size
        row[len(chain) :] = row[len(chain) - 1]
    texels = np.concatenate([image.ravel() for image in flat]).astype(np.uint32)
    size = np.array([len(chain[0]) for chain in chains], np.int32)
    return Textures(texels, start, size, levels)


@functools.cache
def key_mesh() -> KeyMesh:
    """Miniworld's key, scaled to its height. Raises ImportError if miniworld is not installed."""
    points, normals, faces = [], [], []
    for line in (_folder() / "meshes" / "key_blue.obj").read_text().splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            points.append([float(v) for v in values])
        elif kind == "vn":
            normals.append([float(v) for v in values])
        elif kind == "f":  # point/texture/normal, counted from 1
            faces.append([[int(i) - 1 for i in value.split("/")] for value in values])
    index = np.array(faces)
    corners = np.array(points)[index[:, :, 0]]
    low, high = corners.min((0, 1)), corners.max((0, 1))
    corners -= [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2]
    corners *= sign_world.KEY_HEIGHT / (high[1] - low[1])
    return KeyMesh(corners.astype(np.float32), np.array(normals, np.float32)[index[:, :, 2]])


def _folder() -> Path:
    spec = importlib.util.find_spec("miniworld")  # without importing it, which needs OpenGL
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "this quality reads textures and the key from the package miniworld, which is not "
            "installed; install it with `pip install miniworld==2.1.0`, or use quality 'fast'"
        )
    return Path(spec.submodule_search_locations[0])


def _read(path: Path) -> np.ndarray:
    """[H, W, 3] uint8, rows from bottom to top."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[::-1]


def _mipmaps(image: np.ndarray) -> list[np.ndarray]:
    """The image and its halvings down to one texel, computed as Mesa does.

    A halving averages neighbours in one direction, then in the other, and rounds up both times.
    So the picture gets half a grey level lighter each time. The last 3 x 3 texels become their
    mean.
    """
    chain = [image]
    while len(now := chain[-1].astype(np.int32)) > 1:
        if len(now) % 2:
            now = np.round(now.mean((0, 1), keepdims=True))
        else:
            now = (now[:, 0::2] + now[:, 1::2] + 1) // 2
            now = (now[0::2] + now[1::2] + 1) // 2
        chain.append(now.astype(np.uint8))
    return chain
