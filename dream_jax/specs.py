"""Which values observations, instructions and problem descriptors have, and how they are kept.

A family declares each of them as a `dm_env.specs.Array`, or as a dict of these (nested, if need
be). `space` reads such a declaration. A space is made of parts, one for each array:

| spec | part | networks see it by | replay keeps it as |
|---|---|---|---|
| `BoundedArray` or `DiscreteArray` of integers or booleans | integers | a table per component; \
components of more than 256 values as numbers | the smallest integer type with these values |
| `Array` or `BoundedArray` of floats | numbers | running normalisation and an MLP | float32 |
| `Array` of uint8 [H, W] or [H, W, C], from 0 to 255 | picture | patches or convolutions | uint8 |
| `Tokens` | tokens | a text encoder | the smallest integer type |
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from dream_jax.types import Array, Env, is_pixel_env

EMBEDDED_VALUES = 256  # a component with more values has no table; it is a number
SHOWN_VALUES = 4  # of an array, in a message

Kind = Literal["integers", "numbers", "picture", "tokens"]


class Tokens(specs.BoundedArray):
    """A sentence: [length] integers from 0 (no word) to `words`."""

    def __init__(self, length: int, words: int, name: str = "tokens"):
        super().__init__((length,), np.int32, 0, words, name=name)


class Part(NamedTuple):
    """One array of a value. It is hashable, so that network modules may have it as a field."""

    name: str  # where it is in the value, as in "goal/colour"; "" if it is the whole value
    kind: Kind
    shape: tuple[int, ...]  # as the environment shows it
    dtype: str  # as replay keeps it
    low: tuple[float, ...] = ()  # [components] smallest values, flattened; () without a bound
    high: tuple[float, ...] = ()  # [components] largest values

    @property
    def sizes(self) -> tuple[int, ...]:
        """[components] how many values each component of integers or tokens has."""
        return tuple(int(b - a) + 1 for a, b in zip(self.low, self.high, strict=True))


class Space(NamedTuple):
    """Which values an observation, an instruction or a descriptor has."""

    name: str  # "observation", "instruction" or "descriptor"
    parts: tuple[Part, ...]
    tree: Any  # jax.tree structure of a value

    @property
    def component_sizes(self) -> tuple[int, ...] | None:
        """[K] if a value is one vector of small integers from 0 up; else None."""
        if not self.parts:
            return ()
        if len(self.parts) > 1 or self.parts[0].kind != "integers":
            return None
        part = self.parts[0]
        sizes = part.sizes
        small = len(part.shape) == 1 and max(sizes, default=0) <= EMBEDDED_VALUES
        bare = part.name == "" and not any(part.low)
        return sizes if small and bare else None

    @property
    def has_numbers(self) -> bool:
        """Whether it has a part that running statistics normalise."""
        return any(part.kind == "numbers" for part in self.parts)

    def example(self, *batch: int) -> Any:
        """Zeros as replay keeps them, with these leading axes."""
        leaves = [
            jnp.full(
                (*batch, *part.shape),
                part.low[0] if part.low and part.low[0] > 0 else 0,
                part.dtype,
            )
            for part in self.parts
        ]
        return jax.tree.unflatten(self.tree, leaves)

    def kept(self, value: Any) -> Any:
        """A value as replay keeps it."""
        return jax.tree.map(lambda x, dtype: jnp.asarray(x).astype(dtype), value, self._dtypes())

    def _dtypes(self) -> Any:
        return jax.tree.unflatten(self.tree, [part.dtype for part in self.parts])


def space(declared: Any, name: str) -> Space:
    """The space of a declaration: a spec or a dict of specs.

    Args:
      declared: as the family has it.
      name: "observation", "instruction" or "descriptor", for messages.

    Raises:
      ValueError: it has something that is not a spec, or values that no network takes.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(declared)
    parts = tuple(_part(_path(path), leaf, name) for path, leaf in leaves)
    return Space(name, parts, tree)


def components(sizes: tuple[int, ...], name: str) -> Space:
    """The space of vectors whose component k lies in 0 .. sizes[k] - 1."""
    high = tuple(size - 1 for size in sizes)
    part = Part(
        "",
        "integers",
        (len(sizes),),
        _integer_type(0, max(high, default=0)),
        (0,) * len(sizes),
        high,
    )
    return Space(name, (part,), jax.tree.structure(0))


def observation(env: Env) -> Space:
    """What `reset` and `step` show: `observation_spec`, `observation_shape` or
    `observation_sizes`."""
    declared = getattr(env, "observation_spec", None)
    if declared is not None:
        return space(_called(declared), "observation")
    if is_pixel_env(env):
        dtype = getattr(env, "observation_dtype", np.uint8)
        return space(specs.Array(env.observation_shape, dtype), "observation")
    return components(tuple(env.observation_sizes), "observation")


def instruction(env: Env) -> Space:
    """What `sample_instruction` draws: `instruction_spec`, or `instruction_sizes`."""
    declared = getattr(env, "instruction_spec", None)
    if declared is not None:
        return space(_called(declared), "instruction")
    return components(tuple(env.instruction_sizes), "instruction")


def descriptor(env: Env) -> Space | None:
    """What tells problems apart: `descriptor_spec`. None: the id, or a table of float32."""
    declared = getattr(env, "descriptor_spec", None)
    return None if declared is None else space(_called(declared), "descriptor")


def action_type(num_actions: int) -> str:
    """The dtype in which replay keeps actions."""
    return _integer_type(0, num_actions - 1)


def spec_of(part: Part) -> specs.Array:
    """The spec of a part, for environments with the dm_env interface."""
    name = part.name or None
    if part.kind == "picture":
        return specs.BoundedArray(part.shape, np.uint8, 0, 255, name=name)
    dtype = np.float32 if part.kind == "numbers" else np.int32
    if not part.low:
        return specs.Array(part.shape, dtype, name=name)
    low, high = (np.array(x, dtype).reshape(part.shape) for x in (part.low, part.high))
    return specs.BoundedArray(part.shape, dtype, low, high, name=name)


def mistake(space: Space, value: Any) -> str | None:
    """What is wrong with the structure, shapes or dtypes of a value, or None.

    value: arrays or jax.ShapeDtypeStructs.
    """
    tree = jax.tree.structure(value)
    if tree != space.tree:
        return f"{space.name} is {_structure(tree)}, but its spec is {_structure(space.tree)}"
    for part, leaf in zip(space.parts, jax.tree.leaves(value), strict=True):
        shape = tuple(np.shape(leaf))
        if shape != part.shape:
            return f"{_title(space, part)} has shape {list(shape)}; its spec says " + str(
                list(part.shape)
            )
        dtype = np.dtype(getattr(leaf, "dtype", np.asarray(leaf).dtype))
        if not _fits(part.kind, dtype):
            return f"{_title(space, part)} is {dtype}; its spec needs {_wanted(part.kind)}"
    return None


def outside(space: Space, value: Any) -> str | None:
    """The first component of a value that is outside its bounds or not finite, or None.

    value: numpy arrays, without leading axes.
    """
    for part, leaf in zip(space.parts, jax.tree.leaves(value), strict=True):
        flat = np.asarray(leaf).ravel()
        bad = ~np.isfinite(flat) if part.kind == "numbers" else np.zeros(flat.shape, bool)
        if part.low:
            bad |= (flat < np.array(part.low)) | (flat > np.array(part.high))
        if bad.any():
            k = int(np.argmax(bad))
            allowed = f"{part.low[k]:g} to {part.high[k]:g}" if part.low else "a finite number"
            where = f" component {k}" if part.shape else ""
            return f"{_title(space, part)}{where} is {flat[k]!s}; its spec allows {allowed}"
    return None


def _called(declared: Any) -> Any:
    """dm_env writes `observation_spec()`; an attribute does as well."""
    return declared() if callable(declared) and not isinstance(declared, specs.Array) else declared


def _part(path: str, spec: Any, name: str) -> Part:
    title = f"{name}_spec" + (f" {path!r}" if path else "")
    if not isinstance(spec, specs.Array) or isinstance(spec, specs.StringArray):
        raise ValueError(f"{title} must be a dm_env.specs.Array, not {spec!r}")
    dtype, shape = np.dtype(spec.dtype), tuple(spec.shape)
    low, high = (_bound(spec, which) for which in ("minimum", "maximum"))
    if np.issubdtype(dtype, np.floating):
        return Part(path, "numbers", shape, "float32", *_finite(low, high))
    if dtype == np.bool_:
        count = int(np.prod(shape))
        return Part(path, "integers", shape, "uint8", (0,) * count, (1,) * count)
    if not np.issubdtype(dtype, np.integer):
        raise ValueError(f"{title} has dtype {dtype}; valid: integers, floats, bool")
    whole = low is None or (min(low, default=0) <= 0 and max(high or (), default=255) >= 255)
    if dtype == np.uint8 and len(shape) in (2, 3) and whole:
        return Part(path, "picture", shape, "uint8")
    if low is None or high is None:
        raise ValueError(f"{title} has integers without bounds; use dm_env.specs.BoundedArray")
    kept = _integer_type(min(low, default=0), max(high, default=0))
    kind: Kind = "tokens" if isinstance(spec, Tokens) else "integers"
    return Part(path, kind, shape, kept, tuple(map(int, low)), tuple(map(int, high)))


def _bound(spec: specs.Array, which: str) -> tuple[float, ...] | None:
    """[components] flattened; None: the spec has no bounds."""
    if not isinstance(spec, specs.BoundedArray):
        return None
    bound = np.broadcast_to(getattr(spec, which), spec.shape)
    return tuple(bound.ravel().tolist())


def _finite(low: Any, high: Any) -> tuple[Any, Any]:
    """Bounds of floats in float32, a little wider; () unless every one is finite."""
    if low is None or not np.all(np.isfinite([*low, *high])):
        return (), ()
    wide = [1e-5 * max(1.0, abs(a), abs(b)) for a, b in zip(low, high, strict=True)]
    return (
        tuple(float(a) - w for a, w in zip(low, wide, strict=True)),
        tuple(float(b) + w for b, w in zip(high, wide, strict=True)),
    )


def _integer_type(low: float, high: float) -> str:
    for dtype in ("uint8", "int8", "int16", "int32"):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return dtype
    raise ValueError(f"integers from {low:g} to {high:g} do not fit 32 bits")


def _fits(kind: Kind, dtype: Any) -> bool:
    if kind == "picture":
        return dtype == np.uint8
    if kind == "numbers":
        return np.issubdtype(dtype, np.floating) or np.issubdtype(dtype, np.integer)
    return np.issubdtype(dtype, np.integer) or dtype == np.bool_


def _wanted(kind: Kind) -> str:
    return {"picture": "uint8", "numbers": "floats"}.get(kind, "integers")


def _title(space: Space, part: Part) -> str:
    return f"{space.name} {part.name!r}" if part.name else space.name


def _structure(tree: Any) -> str:
    if tree == jax.tree.structure(0):
        return "one array"
    names = [
        _path(path)
        for path, _ in jax.tree_util.tree_flatten_with_path(
            jax.tree.unflatten(tree, range(tree.num_leaves))
        )[0]
    ]
    return f"a dict of {', '.join(map(repr, names)) or 'nothing'}"


def _path(path: Any) -> str:
    return "/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)


def bounds_of(part: Part) -> tuple[Array, Array] | None:
    """Smallest and largest values, [components] each; None without bounds."""
    if not part.low:
        return None
    return jnp.asarray(part.low, jnp.float32), jnp.asarray(part.high, jnp.float32)
