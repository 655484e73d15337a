"""Files of options have one form for all commands: ``command``, its own options, a table for each component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.toml"


def unfolded(text: str) -> str:
    return "".join(text.split())


def test_a_component_s_table_names_its_preset(here: Any, file: Path) -> None:
    file.write_text('command = "fuse"\n[fuser]\nname = "style-transfer"\npreset = "report-style"\n')
    code, out, err = here("fuse", "--config", file, "--help")
    assert code == 0, err
    assert "frompresetreport-style" in unfolded(out)


def test_a_preset_in_a_file_stays_with_its_component(here: Any, file: Path) -> None:
    file.write_text('[fuser]\nname = "style-transfer"\npreset = "report-style"\n')
    code, out, err = here("fuse", "--config", file, "--fuser", "pixel-average", "--help")
    assert code == 0, err
    assert "report-style" not in out


def test_a_wrong_preset_in_a_file_is_refused(here: Any, file: Path, picture: Any) -> None:
    pair = picture("a.png"), picture("b.png")
    file.write_text('[fuser]\nname = "style-transfer"\npreset = "reprot-style"\n')
    code, _, err = here("fuse", *pair, "--config", file)
    assert code == 2 and "style-transfer has no preset 'reprot-style' (did you mean 'report-style'?)" in err
    file.write_text('[source]\nname = "folder"\npreset = "x"\n')
    code, _, err = here("fuse", *pair, "--config", file)
    assert code == 2 and f"{file} line 3: source takes no preset here: leave it out" in err


def test_a_training_reads_the_same_form_and_says_what_is_in_force(here: Any, file: Path) -> None:
    file.write_text(
        'command = "fuser train"\nbatch = 7\n[fuser]\nname = "gan"\npreset = "modern-64"\n[fuser.options]\nnoise = 99\n'
    )
    code, out, err = here("fuser", "train", "--config", file, "--help")
    assert code == 0, err
    shown = unfolded(out)
    assert unfolded(f"[default: 7, from file of options {file} line 2; x>=1]") in shown
    assert unfolded(f"[default: 99, from file of options {file} line 7; 1<=x<=4096]") in shown
    assert unfolded("[default: 56, from preset modern-64; 4<=x<=512]") in shown


def test_a_training_refuses_the_file_of_another_command(here: Any, file: Path) -> None:
    file.write_text('seed = 3\ncommand = "encoder train"\n')
    code, _, err = here("fuser", "train", "--config", file)
    assert code == 2 and f"{file} line 2: it is for `chimera encoder train`: give it to that" in err


def test_a_wrong_option_in_the_file_of_a_training_is_named_with_its_line(here: Any, file: Path) -> None:
    file.write_text('[fuser]\nname = "gan"\n[fuser.options]\nnoise = 0\n')
    code, _, err = here("fuser", "train", "--config", file, "--source", "folder")
    assert code == 2 and f"{file} line 4" in err and "noise" in err
