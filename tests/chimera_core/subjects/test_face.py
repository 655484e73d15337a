"""Where eyes, nose, mouth and chin are: laws on drawn faces, and hits on real ones that were kept apart."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from chimera_core.errors import DataError, ShapeError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.records import Level
from chimera_core.subjects import face_network
from chimera_core.subjects.face import face_unit, find_face, find_faces
from chimera_core.subjects.face_network import GRID, VIEW, FaceAnswer, FaceNetwork, peaks
from chimera_core.subjects.face_views import Looker, turned_view

# Both eyes are red: which is which, left and right tell.
_COLOURS = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]])
# Eyes, nose, mouth, chin.
_FACE = np.array([[-20.0, 0], [20, 0], [0, 22], [0, 34], [0, 46]])


class _Colours(FeatureEncoder):
    """One level: the colours of cells."""

    levels = tuple(Level(f"l{k}", 3, 8) for k in range(5))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    embed = forward

    def feature_maps(self, x, levels):
        return [torch.nn.functional.adaptive_avg_pool2d(x, GRID) + 1e-6]


class _Dots:
    """Takes each colour for the place of one part; there is a face where there are a nose and an eye."""

    def __call__(self, maps):
        colours = torch.nn.functional.normalize(_COLOURS, dim=1)
        # High where a cell has this colour and no other.
        along = torch.einsum("kc,nchw->nkhw", colours, maps[0])
        beside = (maps[0].square().sum(1, keepdim=True) - along.square()).clamp_min(0).sqrt()
        like = (along - 4 * beside).clamp_min(0)
        nose = like[:, 2].amax(1).argmax(-1)[:, None, None]
        columns = torch.arange(GRID)
        like[:, 0] *= columns < nose
        like[:, 1] *= columns >= nose
        best = like.flatten(2).amax(2)
        seen = 40 * (best - 0.5)
        heat = 25 * like / best.clamp_min(0.1)[..., None, None]
        return FaceAnswer(
            heat, seen, torch.minimum(seen[:, 2], seen[:, :2].amax(1)), best.new_full((len(best),), 2.0)
        )


def _drawn(points: np.ndarray, size: tuple[int, int] = (200, 260), radius: float = 6) -> Tensor:
    image = torch.zeros(3, *size)
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    for (x, y), colour in zip(points, _COLOURS, strict=True):
        if np.isfinite(x):
            image[:, (columns - x) ** 2 + (rows - y) ** 2 < radius**2] = colour[:, None]
    return image


def _face_at(x: float, y: float, scale: float = 1.0) -> np.ndarray:
    return np.add(_FACE * scale, (x, y))


def _find(image: Tensor, **more):
    return find_face(_Colours(), image, network=_Dots(), **more)


def test_points_lie_where_they_were_drawn():
    points = _face_at(120, 80)
    found = _find(_drawn(points))
    assert np.abs(found.points - points).max() < 3
    assert 0 < found.confidence <= 1
    top, bottom, left, right = found.box
    assert 0 <= top < points[:, 1].min() and points[:, 1].max() < bottom <= 200
    assert 0 <= left < points[:, 0].min() and points[:, 0].max() < right <= 260


def test_a_slanted_face_is_found_too():
    slant = 0.5
    turn = np.array([[np.cos(slant), np.sin(slant)], [-np.sin(slant), np.cos(slant)]])
    points = _FACE @ turn + (130, 90)
    assert np.abs(_find(_drawn(points)).points - points).max() < 3


def test_an_eye_out_of_sight_is_nan_and_the_rest_stays():
    points = _face_at(120, 80)
    points[0] = np.nan
    found = _find(_drawn(points))
    assert np.isnan(found.points[0]).all()
    assert np.abs(found.points[1:] - points[1:]).max() < 4


def test_nothing_is_found_where_there_is_no_face():
    assert _find(torch.zeros(3, 60, 90)) is None
    assert _find(torch.full((3, 90, 60), 0.5)) is None


def test_of_two_faces_near_takes_the_one_that_is_meant():
    small, large = _face_at(50, 50, 0.6), _face_at(190, 110)
    image = (_drawn(small, radius=5) + _drawn(large)).clamp(0, 1)
    meant = _find(image, near=(20, 100, 10, 90))
    assert np.abs(meant.points - small).max() < 3


def test_faces_come_largest_first_each_once_and_find_face_gives_the_first():
    small, large = _face_at(50, 50, 0.6), _face_at(190, 110)
    image = (_drawn(small, radius=5) + _drawn(large)).clamp(0, 1)
    found = find_faces(_Colours(), image, network=_Dots())
    assert [round(face_unit(f.points) / 40, 1) for f in found] == [1.0, 0.6]
    assert np.abs(found[0].points - large).max() < 3 and np.abs(found[1].points - small).max() < 3
    assert np.array_equal(_find(image).points, found[0].points, equal_nan=True)
    assert len(find_faces(_Colours(), image, network=_Dots(), most=1)) == 1
    assert find_faces(_Colours(), torch.zeros(3, 60, 90), network=_Dots()) == []


def test_whether_it_is_a_person_is_what_the_last_look_answers():
    assert _find(_drawn(_face_at(120, 80))).person == pytest.approx(1 / (1 + np.exp(-2)))


def test_a_face_whose_eyes_are_swapped_is_less_sure():
    class Swapped(_Dots):
        def __call__(self, maps):
            answer = super().__call__(maps)
            return answer._replace(heat=answer.heat[:, [1, 0, 2, 3, 4]])

    image = _drawn(_face_at(120, 80))
    box = (20, 180, 40, 200)
    (right,) = find_faces(_Colours(), image, network=_Dots(), near=box)
    swapped = find_face(_Colours(), image, network=Swapped(), near=box)
    assert swapped is None or swapped.confidence < 0.6 * right.confidence


def test_a_view_shows_its_middle_in_the_middle_and_tells_the_map():
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[28:33, 68:73] = 255
    for mirror in (False, True):
        view, matrix = turned_view(picture, np.array([60.0, 40.0]), 40, 0.4, mirror=mirror)
        assert np.allclose(matrix[:, :2] @ (60, 40) + matrix[:, 2], (VIEW - 1) / 2)
        rows, columns = np.nonzero(view[..., 0] > 128)
        there = matrix[:, :2] @ (70, 30) + matrix[:, 2]
        assert np.abs(there - (columns.mean(), rows.mean())).max() < 1.5
        assert np.sign(np.linalg.det(matrix[:, :2])) == (-1 if mirror else 1)


@pytest.mark.parametrize("half", [15.0, 56.3, 112.0, 300.0])
@pytest.mark.parametrize("slant", [0.0, 0.7])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_map_of_a_view_is_right_to_a_twentieth_of_its_pixel(half: float, slant: float, mirror: bool):
    rows, columns = np.mgrid[:300, :401]
    x, y, wide = 201.3, 140.8, half / 12
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * wide**2))
    picture = np.repeat(dot.round().astype(np.uint8)[..., None], 3, 2)
    view, matrix = turned_view(picture, np.array([200.0, 143.0]), half, slant, mirror=mirror)
    light = view[..., 0].astype(float)
    rows, columns = np.mgrid[:VIEW, :VIEW]
    seen = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
    assert np.abs(seen - matrix[:, :2] @ (x, y) - matrix[:, 2]).max() < 0.05


def test_a_point_in_the_middle_of_a_cell_lies_between_its_pixels():
    class OneCell:
        def __call__(self, maps):
            heat = torch.full((1, 5, GRID, GRID), -99.0)
            heat[:, :, 7, 20] = 99.0
            return FaceAnswer(heat, torch.ones(1, 5), torch.ones(1), torch.ones(1))

    looker = Looker(_Colours(), OneCell(), torch.zeros(3, VIEW, VIEW))
    (look,) = looker.look([(np.full(2, (VIEW - 1) / 2), VIEW / 2)])
    # The view is the picture: cell 20 is columns 160 to 167.
    assert np.allclose(look.points, (163.5, 59.5))


def test_a_unit_is_the_distance_of_the_eyes_or_what_stands_for_it_in_a_profile():
    assert face_unit(_FACE) == pytest.approx(40)
    profile = _FACE.copy()
    profile[0] = np.nan
    profile[2] = (20 + 30, 40)
    assert face_unit(profile) == pytest.approx(0.85 * 50)


def test_a_peak_is_the_mean_of_the_cells_around_the_highest():
    heat = torch.full((1, 2, 4, 8), -50.0)
    heat[0, 0, 1, 2] = heat[0, 0, 1, 3] = 0.0
    heat[0, 1] = 0.0
    points, mass = peaks(heat)
    assert torch.allclose(points[0, 0], torch.tensor([3 / 8, 1.5 / 4]))
    assert float(mass[0, 0]) == pytest.approx(1) and float(mass[0, 1]) < 1


def test_another_encoders_features_are_refused_by_name():
    with pytest.raises(ShapeError, match="default encoder"):
        FaceNetwork()([torch.zeros(1, 3, 28, 28)])


def test_weights_of_another_model_are_refused(tmp_path: Path, monkeypatch):
    from safetensors.torch import save_file

    save_file({"heat.bias": torch.zeros(5)}, tmp_path / "face.safetensors")
    monkeypatch.setattr(face_network, "_WEIGHTS", tmp_path / "face.safetensors")
    with pytest.raises(DataError, match="made for another model"):
        face_network.face_network.__wrapped__(torch.device("cpu"))


needs_data = pytest.mark.skipif(
    "CHIMERA_TEST_DATA" not in os.environ, reason="needs the test data (CHIMERA_TEST_DATA)"
)


def _photograph(name: str) -> Tensor:
    from chimera_core.images import read_picture
    from chimera_core.images.pixels import from_uint8

    return from_uint8(read_picture(Path(os.environ["CHIMERA_TEST_DATA"]) / name).rgb)


@pytest.mark.slow
@needs_data
def test_faces_kept_apart_are_found_and_persons_known_from_animals():
    from chimera_core.api import load_encoder

    marks = (Path(__file__).parents[3] / "research/faces/marks.txt").read_text().splitlines()
    rows = [line.split() for line in marks if line[:1] != "#" and line.split()[2] == "test"]
    rows = [row for row in rows if row[1] in ("dog", "lion")][::5] + [r for r in rows if "pacs" in r[0]][::3]
    assert len(rows) == 11
    encoder = load_encoder("timm:timm").requires_grad_(False)
    errors, right = [], []
    for name, kind, _, *numbers in rows:
        image = _photograph(name)
        marked = np.array([float(n.replace("-", "nan")) for n in numbers[:10]]).reshape(5, 2) / 100
        marked = marked * max(image.shape[-2:]) - 0.5
        found = find_face(encoder, image)
        far = np.inf if found is None else np.nanmedian(np.linalg.norm(found.points - marked, axis=1))
        errors.append(far / face_unit(marked))
        right.append(found is not None and (found.person > 0.5) == (kind == "person"))
    assert np.median(errors) < 0.1 and np.mean(np.array(errors) < 0.3) > 0.8
    assert np.mean(right) > 0.8


@pytest.mark.slow
@needs_data
def test_a_shell_and_a_ray_have_no_face():
    from chimera_core.api import load_encoder

    encoder = load_encoder("timm:timm").requires_grad_(False)
    for name in ("chambered_nautilus", "stingray"):
        assert find_face(encoder, _photograph(f"more-photos/{name}.jpg")) is None
