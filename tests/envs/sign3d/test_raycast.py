"""Pictures of the sign world: recorded frames, cases worked out by hand, properties."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import sign_parity
from dream_jax.envs.sign3d import letters as sign_letters
from dream_jax.envs.sign3d import miniworld_assets, raycast
from dream_jax.envs.sign3d.world import Pose, Scene

pytestmark = pytest.mark.usefixtures("well_compiled")
FRAMES = str(Path(__file__).parents[2] / "golden" / "sign_frames.npz")
BLUE, RED, GREEN = range(3)
needs_miniworld = pytest.mark.skipif(
    importlib.util.find_spec("miniworld") is None,
    reason="reads the textures and the mesh of the package miniworld, which is not installed",
)
QUALITIES = [
    "fast",
    pytest.param("fast_miniworld", marks=needs_miniworld),
    pytest.param("reference", marks=[needs_miniworld, pytest.mark.slow]),
]


@pytest.fixture(scope="module")
def recorded():
    optional = {"obs_untextured_rooms": ("N", 60, 80, 3)}
    return sign_parity.load(FRAMES, sign_parity.FRAME_FIELDS, optional)


@pytest.fixture(scope="module")
def draw():
    """`draw(x, z, heading, quality="fast", colour=BLUE, yaw=0, textured_rooms=True)`: a picture."""
    compiled = {}

    def one(x, z, heading, *, quality="fast", colour=BLUE, yaw=0.0, textured_rooms=True):
        key = quality, textured_rooms
        if key not in compiled:
            compiled[key] = jax.jit(raycast.make_renderer(quality, textured_rooms))
        scene = Scene(jnp.int32(colour), jnp.broadcast_to(jnp.float32(yaw), (6,)))
        pose = Pose(jnp.array([x, z], jnp.float32), jnp.float32(heading))
        return np.asarray(compiled[key](scene, pose)).astype(int)

    return one


def views(count, seed=0):
    random = np.random.default_rng(seed)
    scenes = Scene(random.integers(3, size=count), random.uniform(-3, 3, (count, 6)))
    places = np.stack([random.uniform(2.5, 5.5, count), random.uniform(2.5, 10.5, count)], axis=1)
    poses = Pose(places, random.uniform(-3, 3, count))
    return jax.tree.map(
        lambda x: jnp.asarray(x, jnp.int32 if x.dtype.kind == "i" else jnp.float32), (scenes, poses)
    )


def _float(values):
    return jnp.asarray(values, jnp.float32)


# Against Miniworld. Errors are means of absolute differences, of 255.


@pytest.mark.slow
@needs_miniworld
def test_reference_equals_miniworld(recorded):
    found = sign_parity.compare_frames(recorded, "reference", FRAMES)
    assert found["untextured"]["mean_error"] < 0.1, found
    assert found["textured"]["mean_error"] < 0.8, found


@pytest.mark.slow
@needs_miniworld
def test_one_sample_with_miniworlds_textures(recorded):
    found = sign_parity.compare_frames(recorded, "fast_miniworld", FRAMES)
    assert found["textured"]["mean_error"] < 1.5, found


def test_fast_is_close_to_miniworld(recorded):
    """White rooms (measured: 0.73): one sample for four, own letters, keys as boxes.

    Own textures on top (measured: 2.44).
    """
    found = sign_parity.compare_frames(recorded, "fast", FRAMES)
    assert found["untextured"]["mean_error"] < 0.9, found
    assert found["textured"]["mean_error"] < 2.7, found


def test_fast_is_exact_inside_flat_areas(recorded):
    """White rooms: where Miniworld's pixel equals its eight neighbours, so does ours, and it."""
    pictures = recorded["obs_untextured_rooms"].astype(int)
    around = np.lib.stride_tricks.sliding_window_view(pictures, (3, 3), axis=(1, 2))
    flat = (around.max((-2, -1)) == around.min((-2, -1))).all(-1)  # [N, 58, 78]
    scenes = Scene(jnp.asarray(recorded["color_index"], jnp.int32), _float(recorded["obj_dir"]))
    poses = Pose(_float(recorded["agent_pos"][:, [0, 2]]), _float(recorded["agent_dir"]))
    drawn = jax.jit(jax.vmap(raycast.make_renderer("fast", textured_rooms=False)))(scenes, poses)
    error = np.abs(np.asarray(drawn, int) - pictures).max(-1)[:, 1:-1, 1:-1]
    assert flat.mean() > 0.8  # of all pixels
    assert np.mean(error[flat] <= 1) > 0.998


# By hand: white rooms have three shades of wall and ceiling, and a white floor.

LIT, UNLIT = 213, 166  # 255 * 0.8354 towards +x and +z; 255 * 0.65


def test_a_wall_straight_ahead(draw):
    """From (4, 7.5) the wall x = 0 is 4 m ahead; z = 7.5 runs between the red and the green key.

    Rays rise by (29.5 - row) / 30 * tan 30 degrees. The wall ends 2.74 - 1.5 = 1.24 m above the
    camera, at slope 0.31, row 13.4; and 1.5 m below it, at slope 0.375, row 49.0 (48.985).
    """
    picture = draw(4.0, 7.5, np.pi, textured_rooms=False)
    for column in (39, 40):
        assert (picture[:14, column] == UNLIT).all()
        assert (picture[14:49, column] == LIT).all()
        assert (picture[49:, column] == 255).all()


def test_shades_of_the_four_walls(draw):
    # From (4, 7): +x is the barrier's back room wall x = 10, unlit; z = 13 unlit; x = 0 lit; and
    # towards -z the wall z = 0, lit, is seen past the barrier.
    for heading, shade in ((0.0, UNLIT), (-np.pi / 2, UNLIT), (np.pi, LIT), (np.pi / 2, LIT)):
        assert (draw(4.0, 7.4, heading, textured_rooms=False)[29, 40] == shade).all()
    # The barrier's faces: front unlit, back lit, end unlit.
    assert (draw(8.0, 5.6, -np.pi / 2, textured_rooms=False)[20, 40] == UNLIT).all()
    assert (draw(8.0, 7.6, np.pi / 2, textured_rooms=False)[20, 40] == LIT).all()
    assert (draw(5.0, 6.625, 0.0, textured_rooms=False)[20, 40] == UNLIT).all()


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_box_straight_ahead(draw, quality):
    """The green box at (9, 5), yaw 0, from (5, 5): its side is 3.6 m ahead, 0.8 m wide and high.

    Half its width is a slope of 0.1111; 40 columns are tan 37.59 degrees = 0.7698, so 5.77 columns
    each side. The top edge is 0.7 m
    below the camera: slope 0.1944, row 29.5 + 10.1 = 39.6; the bottom at slope 0.4167, row 51.15.
    The far edge of the top: 0.7 / 4.4 = 0.159, row 37.8. The side faces -x, away from the light.
    """
    picture = draw(5.0, 5.0, 0.0, quality=quality)
    green = (picture[..., 1] > 100) & (picture[..., 0] < 20)
    assert np.nonzero(green[45])[0].tolist() in (list(range(34, 46)), list(range(35, 45)))
    assert np.nonzero(green[:, 40])[0].tolist() in (list(range(38, 52)), list(range(39, 51)))
    assert (picture[41:51, 40] == (0, UNLIT, 0)).all()
    assert (picture[39, 40] == (0, 255, 0)).all()


def test_the_barrier_hides_the_sign_and_the_sign_alone_tells_colours_apart(draw):
    # In front of the barrier and beside it, looking at where the sign is; then around it.
    hidden = [draw(7.0, 4.0, -1.2, colour=c) for c in (BLUE, RED, GREEN)]
    assert np.array_equal(hidden[0], hidden[1]) and np.array_equal(hidden[0], hidden[2])
    blue, red, green = (draw(5.0, 10.25, 0.0, colour=c) for c in (BLUE, RED, GREEN))
    # The sign is 4.95 m ahead; 3, 4 and 5 m of it are 31.5, 42.0 and 52.5 of 80 columns, and it
    # reaches from slope 0.35 / 4.95 to -0.65 / 4.95: from row 25.8 to row 36.3.
    for picture, columns in ((blue, 42), (red, 32), (green, 52)):
        paper = (picture[27] == UNLIT).all(-1)  # above the letters
        assert abs(paper.sum() - columns) <= 1
    outside = np.ones((60, 80), bool)
    outside[26:37, 13:67] = False
    for other in (red, green):
        assert np.array_equal(blue[outside], other[outside])
        assert not np.array_equal(blue, other)


def test_letters_read_from_left_to_right():
    e = sign_letters.ink("E").T[::-1]  # rows from top to bottom
    assert e[:, :16].sum() > e[:, 16:].sum()  # its stem is on the left
    u = sign_letters.ink("U").T[::-1]
    assert not u[:16, 14:18].any() and u[16:, 14:18].any()  # open above, closed below
    assert sign_letters.INK_COLUMNS.shape == (3, 160)
    # RED is three letters long; behind it the table is white.
    assert sign_letters.INK_COLUMNS[RED, 96:].sum() == 0
    assert sign_letters.INK_COLUMNS[GREEN, 128:].any()


# Properties.


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_batch_equals_single_frames_and_repeats_itself(quality):
    count = 4
    scenes, poses = views(count)
    render = raycast.make_renderer(quality)
    batched = jax.jit(jax.vmap(render))
    drawn, again = (np.asarray(batched(scenes, poses)) for _ in range(2))
    assert drawn.shape == (count, 60, 80, 3) and drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, again)
    single = jax.jit(render)
    for i in range(count):
        one = np.asarray(single(*jax.tree.map(lambda x, i=i: x[i], (scenes, poses))))
        # A rounding may move an edge across the middle of a pixel, seldom.
        assert np.mean(one != drawn[i]) < 2e-3


def test_a_full_turn_changes_nothing(draw):
    before, after = draw(4.5, 5.0, 0.3), draw(4.5, 5.0, 0.3 + 2 * np.pi)
    assert np.mean(before != after) < 2e-3


def test_a_quarter_turn_leaves_a_box_as_it_is(draw):
    before, after = (draw(5.0, 5.0, 0.0, yaw=yaw) for yaw in (0.4, 0.4 + np.pi / 2))
    assert np.mean(before != after) < 2e-3


def test_without_an_end_of_the_world(draw):
    """Every pixel is covered, wherever the camera stands: nothing here is black."""
    for x, z, heading in [(0.41, 0.41, 0.7), (9.6, 12.6, 2.2), (5.6, 6.6, 3.1), (9.6, 6.1, -1.0)]:
        assert draw(x, z, heading, colour=RED).max(-1).min() > 30


# What is refused.


@pytest.mark.parametrize("place", [(-0.1, 5.0), (5.0, 13.5), (7.0, 6.6), (np.nan, 1.0)])
def test_a_pose_outside_the_room_is_refused(place):
    raycast.check_pose(np.array([[4.5, 5.0], [9.5, 6.4]]))
    with pytest.raises(ValueError, match="is not inside the room") as refusal:
        raycast.check_pose(np.array([[4.5, 5.0], place]))
    assert "position (1,)" in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_unknown_quality_is_refused():
    with pytest.raises(
        ValueError, match="unknown quality 'best'; valid: fast, fast_miniworld, ref"
    ):
        raycast.make_renderer("best")


@pytest.mark.parametrize("quality", ["fast_miniworld", "reference"])
def test_without_miniworld_the_message_says_what_to_install(quality, monkeypatch):
    miniworld_assets.textures.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"pip install miniworld==2\.1\.0.*quality 'fast'"
    ) as error:
        raycast.make_renderer(quality)
    assert "\n" not in str(error.value)
    raycast.make_renderer("fast")
