"""Parents that are no files: the standard input, addresses, pictures in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys.unruly_server import Server, chunked, gives, status

from chimera_core.errors import ConfigError, DataError, RunError, ShapeError
from chimera_core.fusing import incoming
from chimera_core.fusing.fusion import fuse
from chimera_core.fusing.incoming import take_in, without_secrets
from chimera_core.images import read_notes, read_picture


def drawn(channels: int = 3) -> Any:
    return np.random.default_rng(0).integers(0, 256, (24, 36, channels), dtype=np.uint8)


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def taken(parent: Any, **how: Any) -> Any:
    """Give the pixels that a parent is read as, (H, W, 3) or (H, W, 4)."""
    with take_in([parent], **how) as found:
        (name,) = found.names
        picture = read_picture(name)
    assert not Path(name).exists()
    return picture.rgb if picture.alpha is None else np.dstack([picture.rgb, picture.alpha])


def test_names_and_paths_stay_and_only_what_is_none_of_these_becomes_a_file(tmp_path: Path) -> None:
    with take_in(["lion", tmp_path / "a.png", "-", "ftp://a/b.png"]) as found:
        assert found.names == ("lion", str(tmp_path / "a.png"), "-", "ftp://a/b.png")
        assert found.originals == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (drawn(), drawn()),
        (drawn(4), drawn(4)),
        (drawn()[:, :, 0], np.dstack([drawn()[:, :, 0]] * 3)),
        (drawn() / 255, drawn()),
        ((drawn() / 255).astype(np.float16), None),
        (drawn()[:, ::-1], drawn()[:, ::-1]),
        (torch.tensor(drawn()).permute(2, 0, 1), drawn()),
        (torch.tensor(drawn(4)).permute(2, 0, 1) / 255, drawn(4)),
        ((torch.tensor(drawn()).permute(2, 0, 1) / 255).requires_grad_(), drawn()),
        (Image.fromarray(drawn()), drawn()),
        (Image.fromarray(drawn(4)), drawn(4)),
        (Image.fromarray(drawn()[:, :, 0]), np.dstack([drawn()[:, :, 0]] * 3)),
        (Image.fromarray(drawn()).convert("CMYK"), drawn()),
        (Image.fromarray(drawn()).quantize(8), None),
        (Image.fromarray(drawn()[:, :, 0] > 99), None),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', getattr(value, 'mode', ''))}",
)  # fmt: skip
def test_pictures_in_memory_come_as_they_are(given: Any, expected: Any) -> None:
    found = taken(given)
    assert found.shape[:2] == (24, 36)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


def test_a_pil_image_is_turned_upright_as_its_file_would_be() -> None:
    image = Image.fromarray(drawn())
    image.getexif()[0x0112] = 6
    np.testing.assert_array_equal(taken(image), np.rot90(drawn(), -1))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), ShapeError, r"parent 1 is an array \(3, 8, 8\): pass \(H, W\), \(H, W, 3\)"),
        (torch.zeros(8, 8, 3), ShapeError, r"parent 1 is a tensor \(8, 8, 3\): pass \(3, H, W\) or \(4, H, W\)"),
        (torch.zeros(1, 3, 8, 8), ShapeError, r"parent 1 is a tensor \(1, 3, 8, 8\)"),
        (np.zeros((0, 8, 3)), ShapeError, r"parent 1 is an array \(0, 8, 3\)"),
        (np.full((8, 8, 3), 255.0), DataError, r"values from 255 to 255: floats lie in \[0, 1\], or pass uint8"),
        (np.full((8, 8, 3), np.nan), DataError, "values from nan to nan"),
        (np.zeros((8, 8, 3), np.int64), DataError, "an array of int64: pass uint8, or floats"),
        (7, ConfigError, "parent 1 is of type int: pass a path, a name, an address, a PIL image"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_one_line(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        taken(given)


def test_a_single_name_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(ConfigError, match="pass a list"), take_in("lion"):
        pass


def test_the_standard_input_is_read_where_it_is_given() -> None:
    np.testing.assert_array_equal(taken("-", stdin=io.BytesIO(png(drawn()))), drawn())
    with pytest.raises(DataError, match=r"^'-' is empty"):
        taken("-", stdin=io.BytesIO(b""))
    with pytest.raises(DataError, match=r"^'-' is text, not an image"):
        taken("-", stdin=io.BytesIO(b"hello"))


def test_an_address_is_fetched_and_named_without_its_secrets(server: Server) -> None:
    server.answers["/photos/red%20fox.png?key=secret"] = gives(png(drawn()))
    remarks: list[str] = []
    address = server.url("/photos/red%20fox.png?key=secret")
    with take_in([address], remark=remarks.append) as found:
        (name,) = found.names
        np.testing.assert_array_equal(read_picture(name).rgb, drawn())
        assert Path(name).name == "red_20fox.png"
        shown = server.url("/photos/red%20fox.png")
        assert found.originals == {name: shown} and remarks == [f"{shown}: {len(png(drawn())):,} bytes"]
    assert without_secrets("https://Me:pw@Example.org:8080/a.png?x#y") == "https://example.org:8080/a.png"


def test_an_address_may_hold_letters_and_spaces_that_the_protocol_does_not_know(server: Server) -> None:
    server.answers["/l%C3%B6we%201.png?a=%C3%A9&b=%20"] = gives(png(drawn()))
    np.testing.assert_array_equal(taken(server.url("/löwe 1.png?a=é&b=%20")), drawn())


def hangs(handler: Any) -> None:
    handler.server.over.wait(30)


def hangs_half_way(handler: Any) -> None:
    handler.begin(200, Content_Length=1000)
    handler.wfile.write(b"x" * 10)
    handler.server.over.wait(30)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), r"'http://127.0.0.1:\d+/a.png' cannot be fetched \(127.0.0.1:\d+: HTTP 404 Not Found\): check"),
        (status(503), r"HTTP 503 Service Unavailable\): check the address"),
        (status(302, Location="file:///etc/passwd"), r"Redirection to url 'file:///etc/passwd' is not allowed\): check"),
        (gives(b"x" * 2000), r"it offers 2,000 bytes, more than 1,000"),
        (chunked(b"x" * 600, b"x" * 600), r"it sends more than 1,000 bytes"),
        (hangs, r"no answer for 0.2 s"),
        (hangs_half_way, r"no answer for 0.2 s"),
    ],
    ids=["missing", "busy", "redirect", "offers-too-much", "sends-too-much", "hangs", "hangs-half-way"],
)  # fmt: skip
def test_an_address_that_gives_no_picture_is_one_line_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, pauses: list[float], answer: Any, message: str
) -> None:
    monkeypatch.setattr(incoming, "MAX_ADDRESS_BYTES", 1000)
    if answer in (hangs, hangs_half_way):
        monkeypatch.setattr(incoming, "SILENCE_S", 0.2)
    server.answers["/a.png"] = answer
    with pytest.raises(RunError, match=message):
        taken(server.url("/a.png"))
    assert pauses == [] and len(server.requests) == 1


def test_a_page_in_place_of_a_picture_is_named_for_what_it_is(server: Server) -> None:
    server.answers["/a.png"] = gives(b"<!doctype html><title>Log in</title>")
    with pytest.raises(DataError, match=r"/a.png' is text, not an image \(it starts '<!doctype html>"):
        taken(server.url("/a.png"))


def test_fuse_takes_them_all_and_notes_what_they_were(
    server: Server, picture: Callable[..., Path], tmp_path: Path
) -> None:
    server.answers["/far.png?key=1"] = gives(png(drawn()))
    parents = [
        picture("near.png", size=(36, 24)),
        server.url("/far.png?key=1"),
        Image.fromarray(drawn()),
        drawn() / 255,
    ]
    made = fuse(parents, [0, 0, 0, 1], fuser="pixel-average", size=24, device="cpu")
    np.testing.assert_array_equal(made.numpy(), drawn()[None])
    assert made.parents[1:] == (server.url("/far.png"), "picture 3", "picture 4")
    made.save(tmp_path / "out.webp", quality=100)
    assert (
        read_notes(tmp_path / "out.webp")["chimera.parents"]
        == '["near.png", "far.png", "picture 3", "picture 4"]'
    )


def test_the_command_says_what_it_fetched_and_ends_in_one_line_where_it_cannot(
    server: Server, picture: Callable[..., Path], tmp_path: Path, here: Callable[..., tuple[int, str, str]]
) -> None:
    server.answers["/far.png"] = gives(png(drawn()))
    server.answers["/gone.png"] = status(404)
    rest = (
        picture("near.png"),
        "--fuser",
        "pixel-average",
        "--size",
        24,
        "--device",
        "cpu",
        "-o",
        tmp_path / "o.png",
    )
    code, _, err = here("fuse", server.url("/far.png"), *rest)
    assert code == 0 and f"{server.url('/far.png')}: {len(png(drawn())):,} bytes\n" in err
    code, out, err = here("fuse", server.url("/gone.png"), *rest)
    assert (code, out) == (1, "") and err.count("\n") == 1 and "HTTP 404" in err
