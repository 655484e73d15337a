"""The laws of ``parts`` and ``auto``, on the two photographs that come with scikit-image and on a drawn cut-out."""

import itertools

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from chimera_parts import animals
from chimera_parts.animals import _narrowed, _taken_off, _with_face, _without_limbs
from chimera_parts.auto import Auto
from chimera_parts.config import PartsConfig
from chimera_parts.fuser import Parts
from chimera_parts.joining import _in_tone
from chimera_parts.leftovers import come_loose, hung_on_the_neck, stubs

from chimera_core.api import ConfigError, NeckCut, Parent, resize_shorter

pytestmark = pytest.mark.slow

_SIZE = 128


def _photograph(name: str, pixels: np.ndarray) -> Parent:
    return Parent(name, resize_shorter(torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255, 256))


def _drawn(name: str, colour: tuple[float, float, float], *, cutout: bool = True) -> Parent:
    """An animal with body, neck and head on the right, on white."""
    alpha = np.zeros((200, 260), np.float32)
    cv2.ellipse(alpha, (110, 130), (75, 42), 0, 0, 360, 1, -1)
    cv2.line(alpha, (165, 115), (205, 70), 1, 24)
    cv2.circle(alpha, (214, 58), 26, 1, -1)
    mask = torch.from_numpy(cv2.GaussianBlur(alpha, (0, 0), 1))[None]
    texture = torch.rand(3, 200, 260, generator=torch.Generator().manual_seed(3)) * 0.2
    image = mask * (torch.tensor(colour)[:, None, None] * 0.8 + texture) + (1 - mask)
    return Parent(name, image, mask, is_cutout=cutout)


def _drawn_scores(encoder, image, mask):
    """Stand in for the probe, which knows no drawings: the upper right of the animal is its head."""
    height, width = image.shape[-2:]
    rows, columns = np.mgrid[:height, :width]
    near = np.hypot(columns / width - 214 / 260, rows / height - 58 / 200) < 0.16
    head = torch.from_numpy(near.astype(np.float32))[None] * mask
    return torch.cat([head, torch.zeros_like(head), torch.zeros_like(head)])


@pytest.fixture(scope="module")
def photographs() -> list[Parent]:
    return [
        _photograph("astronaut", skimage.data.astronaut()),
        _photograph("cat", skimage.data.chelsea()),
    ]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts(PartsConfig())


@pytest.fixture
def drawn(monkeypatch) -> tuple[Parts, list[Parent]]:
    monkeypatch.setattr(animals, "head_maps", _drawn_scores)
    monkeypatch.setattr(animals, "head_mask", lambda encoder, image, scores, mask: scores)
    return Parts(PartsConfig()), [_drawn("red", (1, 0.1, 0.1)), _drawn("blue", (0.1, 0.1, 1))]


def test_weight_one_on_the_body_gives_its_very_pixels(parts, photographs):
    (made,) = parts.fuse(photographs, [1, 0], seeds=[0], size=_SIZE)
    assert torch.equal(made, resize_shorter(photographs[0].image, _SIZE))


def test_a_cut_out_stays_a_cut_out_with_its_own_colours(drawn):
    fuser, parents = drawn
    (made,) = fuser.fuse(parents, [1, 0], seeds=[0], size=_SIZE)
    mask = resize_shorter(parents[0].mask, _SIZE)
    assert made.shape[0] == 4 and torch.equal(made[3:], mask)
    over_white = made[:3] * made[3:] + 1 - made[3:]
    assert (over_white - resize_shorter(parents[0].image, _SIZE)).abs().max() < 0.02


@pytest.mark.slow
def test_at_equal_weights_the_body_is_the_firsts_and_the_head_the_seconds(drawn):
    fuser, parents = drawn
    (made,) = fuser.fuse(parents, [0.5, 0.5], seeds=[0], size=_SIZE)
    solid = made[3] > 0.9
    red, blue = made[0] - made[2] > 0.2, made[2] - made[0] > 0.2
    columns = torch.arange(made.shape[-1])[None].expand_as(solid)
    middle = columns[solid].float().mean()
    assert columns[solid & red].float().mean() < middle < columns[solid & blue].float().mean()
    assert (solid & blue).sum() > 0.05 * solid.sum() and (solid & red).sum() > 0.5 * solid.sum()


@pytest.mark.slow
def test_photographs_change_at_the_head_alone_where_each_keeps_its_colours(photographs):
    (made,) = Parts(PartsConfig(harmony=0)).fuse(photographs, [0.5, 0.5], seeds=[0], size=_SIZE)
    before = resize_shorter(photographs[0].image, _SIZE)
    changed = (made - before).abs().amax(0) > 0.1
    assert changed.sum() > 200
    assert not changed[3 * _SIZE // 4 :].any()  # the suit


@pytest.mark.slow
def test_body_and_head_take_on_each_others_colours_and_the_surroundings_stay(drawn):
    assert drawn  # heads are where the drawing has them
    colours = {"brown": (0.7, 0.45, 0.3), "grey": (0.55, 0.55, 0.6)}
    parents = [_drawn(name, colour, cutout=False) for name, colour in colours.items()]
    apart, together = (
        Parts(PartsConfig(harmony=h)).fuse(parents, [0.5, 0.5], seeds=[0], size=_SIZE)[0] for h in (0, 1)
    )
    body = resize_shorter(parents[0].mask, _SIZE)[0] > 0.99
    body[: _SIZE // 2] = False  # the head and its neck
    redness = [float((made[0] - made[2])[body].mean()) for made in (apart, together)]
    assert redness[1] < redness[0] - 0.05
    near = torch.nn.functional.max_pool2d(resize_shorter(parents[0].mask, _SIZE), 9, 1, 4)[0]
    ground = near == 0
    ground[: _SIZE // 2] = False
    assert torch.equal(apart[:, ground], together[:, ground])


@pytest.mark.slow
def test_the_way_is_smooth(parts, photographs):
    """No step of nine to the whole head is more than a third of the way, in mean absolute difference."""
    frames = [
        parts.fuse(photographs, [1 - w, w], seeds=[0], size=_SIZE)[0]
        for w in torch.linspace(0, 0.5, 9).tolist()
    ]
    steps = [float((b - a).abs().mean()) for a, b in itertools.pairwise(frames)]
    assert max(steps) < float((frames[-1] - frames[0]).abs().mean()) / 3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_others_other_creatures(parts, photographs):
    first, again = (parts.fuse(photographs, [0.5, 0.5], seeds=[0], size=_SIZE) for _ in range(2))
    assert torch.equal(first, again)
    fresh = Parts(PartsConfig()).fuse(photographs, [0.5, 0.5], seeds=[2, 0], size=_SIZE)
    assert torch.equal(fresh[1], first[0])
    four = parts.fuse(photographs, [0.5, 0.5], seeds=[0, 1, 2, 3], size=_SIZE)
    for k in range(4):
        for other in range(k):
            assert (four[k] - four[other]).abs().amax(0).gt(0.1).sum() > 50


@pytest.mark.slow
def test_a_larger_result_shows_the_same_creature(parts, photographs):
    small, large = (parts.fuse(photographs, [0.5, 0.5], seeds=[0], size=s)[0] for s in (_SIZE, 2 * _SIZE))
    shrunk = resize_shorter(large, _SIZE)
    assert float((shrunk - small).abs().mean()) < 0.02


@pytest.mark.slow
def test_progress_comes_from_every_trial_and_from_the_filling_so_that_stopping_is_heard(photographs):
    fuser, seen = Parts(PartsConfig()), []  # one that has drawn nothing yet
    fuser.progress = lambda done, total: seen.append(done / total)
    fuser.fuse(photographs, [0.5, 0.5], seeds=[0], size=_SIZE)
    assert seen == sorted(seen) and seen[-1] == 1
    # Cuts are tried up to one half, then the old head's place is filled.
    assert sum(0.2 < share <= 0.5 for share in seen) >= 5
    assert sum(0.5 < share < 0.9 for share in seen) >= 5


@pytest.mark.slow
def test_a_third_parent_gives_its_coat(drawn, monkeypatch):
    fuser, parents = drawn

    class _Green:
        def fuse(self, parents, weights, *, seeds, size):
            image = torch.zeros_like(resize_shorter(parents[0].image, size))
            image[1] = 0.9
            for done in (1, 2, 4):
                self.progress(done, 4)
            return image[None]

    monkeypatch.setattr("chimera_parts.fuser.load_fuser", lambda name, **options: _Green())
    third, seen = _drawn("green", (0.1, 1, 0.1)), []
    fuser.progress = lambda done, total: seen.append(done / total)
    (made,) = fuser.fuse([*parents, third], [1 / 3] * 3, seeds=[0], size=_SIZE)
    solid = made[3] > 0.9
    assert ((made[1] > 0.6) & solid).sum() > 0.4 * solid.sum()
    assert ((made[2] - made[0] > 0.2) & solid).sum() > 0.03 * solid.sum()  # the head keeps its own
    # Nearly all of the time goes to the coat, so its progress is what counts.
    assert seen == sorted(seen) and sum(0.2 < share < 0.99 for share in seen) == 3


def test_a_picture_without_a_neck_is_refused_with_the_mend(monkeypatch):
    monkeypatch.setattr(animals, "head_maps", lambda encoder, image, mask: mask.repeat(3, 1, 1))
    fuser = Parts(PartsConfig())
    head = _drawn("bust", (1, 0, 0))
    monkeypatch.setattr(animals, "propose_cuts", lambda alpha, scores, **_: [])
    with pytest.raises(ConfigError, match=r"no head with a neck was found in bust.*--head-box"):
        fuser.fuse([head, _drawn("other", (0, 0, 1))], [0.5, 0.5], seeds=[0], size=_SIZE)


def test_a_class_name_is_refused(parts, photographs):
    with pytest.raises(ConfigError, match="lion is a class name"):
        parts.fuse([Parent("lion", class_name="lion"), photographs[0]], [0.5, 0.5], seeds=[0], size=_SIZE)


def test_findings_tell_where_head_and_neck_are_as_shares(parts, photographs):
    found = parts.findings(photographs)[0]
    left, top, right, bottom = found["head"]["box"]
    assert found["parent"] == "astronaut"
    assert 0.2 < left < 0.45 and top < 0.1 and 0.5 < right < 0.7 and 0.25 < bottom < 0.45
    assert 0.5 < found["neck"]["confidence"] <= 1
    assert 0.5 < found["outline"]["confidence"] <= 1


class _Stub:
    """Another fuser, with the faces that it found in the first parents."""

    keeps_outline = True

    def __init__(self, faces=()):
        self._faces = faces

    def findings(self, parents):
        return [{"face": face} for face in self._faces]

    def fuse(self, parents, weights, *, seeds, size):
        return torch.zeros(len(seeds), 3, size, size)


def _face(size, confidence=0.9, right_eye: tuple[float, float] | None = (0.6, 0.5), middle=(0.5, 0.5)):
    (x, y), half = middle, size / 2
    box = [x - half, y - half, x + half, y + half]
    return {"box": box, "left_eye": (0.4, 0.5), "right_eye": right_eye, "confidence": confidence}


@pytest.mark.slow
def test_auto_takes_parts_where_a_body_and_a_head_are_in_sight_and_tells_so(drawn):
    parts, parents = drawn
    auto, lines = Auto(PartsConfig()), []
    auto.remark = lines.append
    (made,) = auto.fuse(parents, [0.5, 0.5], seeds=[0], size=_SIZE)
    assert auto.stand_in == "parts"
    assert lines == [f"fuser: parts (the body of {parents[0].name}, the head of {parents[1].name})"]
    assert torch.equal(made, parts.fuse(parents, [0.5, 0.5], seeds=[0], size=_SIZE)[0])


@pytest.mark.slow
def test_auto_takes_a_portrait_where_the_second_picture_cuts_its_head_off(photographs):
    """The cat's ears and crown are outside the picture: as a head they would end in a straight line."""
    auto, lines = Auto(PartsConfig()), []
    auto.remark = lines.append
    auto.fuse(photographs, [0.5, 0.5], seeds=[0], size=_SIZE)
    assert lines == [
        "fuser: portrait (the faces of astronaut and cat, for the picture of cat cuts its head off above)"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faces", "chosen"),
    [
        ((_face(0.3, middle=(0.45, 0.25)), _face(0.3)), "portrait"),
        ((_face(0.3, middle=(0.1, 0.9)), _face(0.3)), "parts"),  # another one's face, not the body's
        ((_face(0.3, middle=(0.45, 0.25)), None), "parts"),
    ],
)
def test_a_head_that_is_cut_off_needs_the_bodys_own_face(photographs, monkeypatch, faces, chosen):
    monkeypatch.setattr("chimera_parts.auto.load_fuser", lambda name, **options: _Stub(faces))
    monkeypatch.setattr(Parts, "fuse", lambda *args, **kwargs: torch.zeros(1, 3, 8, 8))
    parents = [photographs[0], photographs[1]]
    auto = Auto(PartsConfig())
    auto.fuse(parents, [0.5, 0.5], seeds=[0], size=_SIZE)
    assert auto.stand_in == chosen


@pytest.mark.parametrize(
    ("faces", "chosen"),
    [
        ((_face(0.5), _face(0.4)), "portrait"),
        ((_face(0.5), None), "style-transfer"),
        ((_face(0.5), _face(0.4, confidence=0.5)), "style-transfer"),
        ((_face(0.5), _face(0.4, right_eye=None)), "style-transfer"),
        ((_face(0.5), _face(0.05)), "style-transfer"),
    ],
)
def test_auto_takes_portraits_or_coats_where_no_head_with_a_neck_is_in_sight(monkeypatch, faces, chosen):
    monkeypatch.setattr(
        animals, "head_maps", lambda encoder, image, mask: torch.zeros_like(mask).repeat(3, 1, 1)
    )
    monkeypatch.setattr("chimera_parts.auto.load_fuser", lambda name, **options: _Stub(faces))
    auto, lines = Auto(PartsConfig()), []
    auto.remark = lines.append
    auto.fuse([_drawn("a", (1, 0, 0)), _drawn("b", (0, 0, 1))], [0.5, 0.5], seeds=[0], size=_SIZE)
    assert auto.stand_in == chosen and auto.keeps_outline
    reason = "the faces of a and b" if chosen == "portrait" else "no head with a neck was found in a"
    assert lines[0].startswith(f"fuser: {chosen} ({reason}")


@pytest.mark.slow
def test_auto_takes_portraits_where_faces_fill_the_frame_though_there_is_a_neck(drawn, monkeypatch):
    fuser, parents = drawn
    assert fuser.unfit(parents) is None
    monkeypatch.setattr("chimera_parts.auto._LARGE_HEAD", 0.1)
    for size, chosen in ((0.6, "portrait"), (0.3, "parts")):
        stub = _Stub((_face(size), _face(size)))
        monkeypatch.setattr("chimera_parts.auto.load_fuser", lambda name, stub=stub, **options: stub)
        auto = Auto(PartsConfig())
        auto.fuse(parents, [0.5, 0.5], seeds=[0], size=_SIZE)
        assert auto.stand_in == chosen


@pytest.mark.slow
def test_a_hint_moves_the_head(parts, photographs):
    """A box around the chest makes that the head: the hint is strong where the probe is wrong."""
    plain = parts.findings(photographs)[0]["head"]["box"]
    found = Parts(PartsConfig(head_box=(".1,.6,.5,1",))).findings(photographs)[0]
    hinted = found["head"]["box"]
    assert hinted[1] > plain[1] + 0.2 and hinted[3] > plain[3] + 0.2
    # Who points at a head is not told that there is none.
    assert found["neck"]["confidence"] > 0.5


@pytest.mark.slow
def test_a_hint_moves_the_neck(parts, photographs):
    """Between her shoulders instead of under her chin: the cut comes nearer, and need not lie there."""

    def height(fuser: Parts) -> float:
        neck = fuser.findings(photographs)[0]["neck"]
        return (neck["nape"][1] + neck["throat"][1]) / 2

    assert height(Parts(PartsConfig(neck=(".2,.45,.6,.45",)))) > height(parts) + 0.02


def test_a_neck_that_is_no_line_is_refused():
    for text in ("1,2", ".1,.1,.1,.1", "0,0,1,2"):
        with pytest.raises(ValueError, match="neck"):
            PartsConfig(neck=("auto", text))


def test_a_box_that_is_none_is_refused():
    with pytest.raises(ValueError, match="write a box as left,top,right,bottom"):
        PartsConfig(head_box=("left",))


def test_forelegs_beyond_the_cut_stay_with_the_body():
    """A lying pig: the cut runs from nape to ground, and its leg lies beyond it, far below the head."""
    head = np.zeros((100, 100), bool)
    head[20:60, 10:50] = True
    head[60:90, 20:40] = True
    scores = np.zeros((100, 100), np.float32)
    scores[20:55, 10:50] = 0.9
    cut = NeckCut(np.array([50.0, 20]), np.array([50.0, 90]), np.array([-1.0, 0]), head, 1.0, np.zeros(2))
    kept = _without_limbs(cut, scores, certain=True).head
    assert kept[20:55, 10:50].all()
    assert not kept[75:].any()


def test_antlers_beyond_the_cut_stay_with_the_head():
    head = np.zeros((100, 100), bool)
    head[50:90, 10:50] = True
    head[10:50, 20:40] = True
    scores = np.zeros((100, 100), np.float32)
    scores[50:90, 10:50] = 0.9
    cut = NeckCut(np.array([50.0, 50]), np.array([50.0, 90]), np.array([-1.0, 0]), head, 1.0, np.zeros(2))
    assert np.array_equal(_without_limbs(cut, scores, certain=True).head, head)


def _before_a(piece: tuple[slice, slice]) -> tuple[NeckCut, np.ndarray]:
    """A face above a level cut, before something else; and the scores that show the face."""
    head, scores = np.zeros((120, 120), bool), np.zeros((120, 120), np.float32)
    face = slice(60, 100), slice(40, 80)
    head[face] = head[piece] = True
    scores[face] = 0.9
    cut = NeckCut(np.array([40.0, 100]), np.array([80.0, 100]), np.array([0, -1.0]), head, 1.0, np.zeros(2))
    return cut, scores


def test_a_rump_behind_a_face_is_no_part_of_the_head():
    cut, scores = _before_a((slice(20, 60), slice(45, 75)))
    kept = _taken_off(cut, scores).head
    assert kept[60:100, 40:80].all()
    assert not kept[20:52].any()


def test_horns_above_a_face_are_part_of_the_head():
    cut, scores = _before_a((slice(20, 60), slice(45, 52)))
    assert np.array_equal(_taken_off(cut, scores).head, cut.head)


def test_a_head_that_hardly_shows_in_the_scores_stays_whole():
    cut, scores = _before_a((slice(20, 60), slice(45, 75)))
    assert np.array_equal(_taken_off(cut, 0.2 * scores).head, cut.head)


def test_an_arm_beside_a_face_is_thinner_than_a_rump_and_goes_all_the_same():
    cut, chances = _before_a((slice(82, 92), slice(80, 115)))
    kept = _taken_off(cut, chances).head
    assert kept[60:100, 40:80].all()
    assert not kept[82:92, 90:].any()


def _on_shoulders() -> tuple[NeckCut, np.ndarray]:
    """A face with ears on a neck, between two shoulders that a wide level cut takes along; and its chances."""
    head, chances = np.zeros((120, 160), bool), np.zeros((120, 160), np.float32)
    head[90:100, 20:140] = head[40:100, 60:100] = head[35:45, 40:120] = True
    chances[40:90, 60:100] = chances[35:45, 40:120] = 0.9
    cut = NeckCut(np.array([20.0, 100]), np.array([139.0, 100]), np.array([0, -1.0]), head, 1.0, np.zeros(2))
    return cut, chances


def test_shoulders_beside_a_head_are_left_and_its_cut_is_as_wide_as_its_neck():
    cut, chances = _on_shoulders()
    narrow = _narrowed(cut, chances)
    assert narrow.head[40:100, 60:100].all() and narrow.head[35:45, 40:120].all()
    assert not narrow.head[90:100, 20:55].any() and not narrow.head[90:100, 105:].any()
    assert 38 < narrow.length < 52
    assert narrow.nape[0] < narrow.throat[0] and narrow.nape[1] == pytest.approx(100, abs=1)


def test_a_cut_without_shoulders_beside_it_stays_as_it_is():
    cut, chances = _before_a((slice(60, 100), slice(40, 80)))
    assert _narrowed(cut, chances) == cut or np.array_equal(_narrowed(cut, chances).head, cut.head)
    assert _narrowed(cut, 0.1 * chances) is cut


def test_a_face_is_counted_where_it_agrees_with_the_cut():
    cut, chances = _on_shoulders()
    assert _with_face(cut, chances).face == ((chances > 0.5) & cut.head).sum()
    assert _with_face(cut, 0.1 * chances).face == 0


def test_a_scrap_beside_a_head_goes_where_the_outline_was_only_found():
    head = np.zeros((100, 100), bool)
    head[20:60, 10:50] = True
    head[38:42, 50:75] = True
    scores = np.zeros((100, 100), np.float32)
    scores[20:60, 10:50] = 0.9
    cut = NeckCut(np.array([20.0, 60]), np.array([50.0, 60]), np.array([0, -1.0]), head, 1.0, np.zeros(2))
    assert not _without_limbs(cut, scores, certain=False).head[38:42, 60:].any()
    assert np.array_equal(_without_limbs(cut, scores, certain=True).head, head)


def _held_by_the_neck(*, up: bool) -> tuple[np.ndarray, np.ndarray]:
    """What of a body on the left of column 120 holds to it at the neck only; and the thin piece that does."""
    rows, columns = np.mgrid[:200, :200].astype(np.float32)
    u, v = (rows - 100) / 40, (columns - 120) / 40
    top, bottom = (95, 140) if up else (60, 105)
    body = (rows >= top) & (rows < bottom) & (columns < 124)
    thin = (rows >= 30) & (rows < 95) if up else (rows >= 105) & (rows < 170)
    piece = thin & (columns >= 117) & (columns < 123)
    return hung_on_the_neck(body | piece, u, v), piece


def test_an_antler_that_holds_by_the_neck_goes_with_the_old_head():
    hung, antler = _held_by_the_neck(up=True)
    assert hung[35:70, 118:122].all()
    assert not (hung & ~antler).any()


def test_a_leg_that_holds_by_the_neck_stays():
    hung, _ = _held_by_the_neck(up=False)
    assert not hung.any()


def test_a_dark_face_is_lightened_and_a_light_one_is_not():
    there, far = np.ones((100, 100), np.float32), np.full((100, 100), 5, np.float32)
    body = np.full((100, 100, 3), 0.5, np.float32)

    def toned(value: float) -> float:
        head = np.full((100, 100, 3), value, np.float32)
        return float(_in_tone(head, there, there, body, there, far, far).mean())

    assert toned(0.1) == pytest.approx(0.17, abs=0.01)
    assert toned(0.5) == pytest.approx(0.5, abs=0.01)


def test_a_trunk_that_nothing_holds_any_more_goes_with_the_old_head():
    body, trunk, old_head, apart = (np.zeros((120, 160), bool) for _ in range(4))
    body[40:100, 60:150] = True
    trunk[70:110, 20:30] = True
    old_head[30:69, 15:58] = True
    loose = come_loose(body | trunk, old_head, 1.0)
    assert np.array_equal(loose, trunk)
    # Half an animal behind a post is not loose: the head was elsewhere.
    apart[40:100, 5:20] = True
    assert not come_loose(body | apart, np.roll(old_head, 60, 1), 1.0).any()


@pytest.mark.parametrize(("length", "found"), [(14, True), (70, False)])
def test_the_tip_of_a_bill_beyond_the_outline_goes_and_a_branch_stays(length, found):
    ground = np.full((120, 160, 3), 0.5, np.float32)
    ground[58:60, 60 : 60 + length] = 0.1
    head = np.zeros((120, 160), bool)
    head[40:80, 20:60] = True
    tip = stubs(ground, head, head, 1.0)
    assert tip[58:60, 64 : 60 + length].all() == found
    assert not tip[:50].any() and not tip[68:].any()
