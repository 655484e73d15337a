"""Folders are left out of what travels."""

import pytest

from chimera_core.privacy import without_folders


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/me/a.png", "a.png"),
        ("/home/me/My Pictures/a b.png", "a b.png"),
        ("~/x/y", "y"),
        ("~me/x", "x"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("\\\\host\\share\\a.png", "a.png"),
        ("/home/me/", "me"),
        ("file:///home/me/w.pth", "w.pth"),
        ("'/home/me/My Pictures/a b.png' is damaged: copy it", "'a b.png' is damaged: copy it"),
        ("cat=folder:root=/home/me/pics,split=x", "cat=folder:root=pics,split=x"),
        ("chimera compare /home/me/e.toml --run=/home/me/runs/x", "chimera compare e.toml --run=x"),
        ("(/home/me/x/y)", "(y)"),
        ("two\n/home/me/x\nlines", "two\nx\nlines"),
        ('root = "C:\\\\Users\\\\me\\\\pics"', 'root = "pics"'),
    ],
)
def test_folders_go_wherever_a_path_stands(text: str, left: str) -> None:
    assert without_folders(text) == left


@pytest.mark.parametrize(
    "text",
    ["https://a.b/c/d.png", "see https://a.b/c, please", "8/255", "and/or", "a/b/c.png", "/", "N/A", "images/s", "1 / 2",
     "timm:timm", "50%/50%", "", "s/image", "train/val/test"],
)  # fmt: skip
def test_what_is_no_path_of_a_machine_stays(text: str) -> None:
    assert without_folders(text) == text


def test_nested_values_keep_their_form() -> None:
    value = {"root": "/a/b", "more": [{"file": "/a/c"}, 1, None, True], "/a/key": 2.5}
    assert without_folders(value) == {"root": "b", "more": [{"file": "c"}, 1, None, True], "/a/key": 2.5}
    assert without_folders(value, keep=("file",))["more"][0] == {"file": "/a/c"}
