"""Data sets on the disk, as the `datasets` library writes and reads them: same images, same labels, nothing unpickled."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimera_huggingface.checking import draw_tables, encode, write_parquet, write_saved
from PIL import Image, ImageOps
from toys.hub import Hub

from chimera_core import open_source
from chimera_core.api import ChimeraError, ConfigError, DataError, MissingDataError
from chimera_core.testing import Law, check_component, draw_shape, parametrize_with_laws

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> None:
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))


@parametrize_with_laws(check_component("huggingface"))
def test_huggingface_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


def save(folder: Path, columns: dict[str, list[Any]], features: dict[str, Any]) -> Path:
    """Write one split of any columns with the library's own ``save_to_disk``."""
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    table.save_to_disk(str(folder))
    return folder


def pictures(count: int) -> list[dict[str, Any]]:
    return [{"bytes": encode(k), "path": None} for k in range(count)]


def check_equal(split: Any, theirs: Any) -> None:
    """Compare a split with the library's own decoded rows."""
    assert len(split) == len(theirs)
    for k, row in enumerate(theirs):
        assert np.array_equal(split[k].image.permute(1, 2, 0).numpy(), np.array(row["image"].convert("RGB")))
        assert split.labels[k] == split[k].label == row["label"]


@pytest.mark.parametrize("form", ["saved", "parquet", "file"])
def test_what_the_library_wrote_reads_as_the_library_reads_it(tmp_path: Path, form: str) -> None:
    classes = tuple(f"kind-{k:02d}" for k in range(25))
    write = write_saved if form == "saved" else write_parquet
    folder = write(tmp_path / "written", classes=classes, images=30)
    path = folder / "train-00000-of-00001.parquet" if form == "file" else folder
    source = open_source("huggingface", path=str(path))
    assert source.info.classes == classes
    assert dict(source.info.splits) == ({"all": 30} if form == "file" else {"train": 30, "test": 30})
    drawn = draw_tables(classes=classes, images=30)
    check_equal(source.open("all" if form == "file" else "train"), drawn["train"])
    if form == "saved":
        assert source.info.licence == "cc0-1.0"
        assert any("cite: @misc{drawn, title={Drawn}}" in note for note in source.info.notes)


def test_images_in_folders_of_classes_keep_their_files(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for k, kind in enumerate(("lion", "zebra") * 2):
            file = tmp_path / "data" / split / kind / f"{split}-{k}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_shape(k, 20, 24)).save(file)
    source = open_source("huggingface", path=str(tmp_path / "data"))
    assert source.info.classes == ("lion", "zebra") and dict(source.info.splits) == {"train": 4, "test": 4}
    split = source.open("test")
    assert sorted(p.name for p in split.paths) == [f"test-{k}.jpg" for k in range(4)]
    theirs = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))["test"]
    check_equal(split, theirs)


def test_a_turned_photograph_is_upright_as_the_library_gives_it(tmp_path: Path) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(draw_shape(3, 20, 30)).save(file, "JPEG", exif=exif)
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a"])}
    folder = save(
        tmp_path / "d", {"image": [{"bytes": file.getvalue(), "path": None}], "label": [0]}, features
    )
    image = open_source("huggingface", path=str(folder)).open("all")[0].image
    assert image.shape == (3, 30, 20)
    upright = ImageOps.exif_transpose(Image.open(file))
    assert np.array_equal(image.permute(1, 2, 0).numpy(), np.array(upright))


def test_parquet_files_of_other_programs_need_no_types(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {"img": [encode(k) for k in range(4)], "species": ["zebra", "lion", "zebra", "lion"]}
    )
    parquet.write_table(table, tmp_path / "train.parquet")
    source = open_source("huggingface", path=str(tmp_path / "train.parquet"))
    assert source.info.classes == ("lion", "zebra")
    split = source.open("all")
    assert list(split.labels) == [1, 0, 1, 0] and split[2].image.shape == (3, 24, 32)


def test_the_class_column_is_recognised_or_asked_for(tmp_path: Path) -> None:
    features = {
        "image": datasets.Image(),
        "fine": datasets.ClassLabel(names=["cat", "dog"]),
        "coarse": datasets.ClassLabel(names=["pet"]),
        "smiling": datasets.Value("bool"),
    }
    columns = {"image": pictures(3), "fine": [0, 1, -1], "coarse": [0, 0, 0], "smiling": [True, False, True]}
    folder = str(save(tmp_path / "d", columns, features))
    with pytest.raises(
        ConfigError, match=r"choose one with --label \(fine, coarse, smiling\), or --label none"
    ):
        open_source("huggingface", path=folder)
    fine = open_source("huggingface", path=folder, label="fine")
    assert fine.info.classes == ("cat", "dog") and dict(fine.info.splits) == {"all": 2}
    assert dict(fine.info.left_out) == {"without a class in split all": 1}
    smiling = open_source("huggingface", path=folder, label="smiling")
    assert smiling.info.classes == ("not-smiling", "smiling") and list(smiling.open("all").labels) == [
        1,
        0,
        1,
    ]
    assert open_source("huggingface", path=folder, label="none").info.classes == ("d",)
    with pytest.raises(
        ConfigError, match="column 'breed' holds no classes: those that do are fine, coarse, smiling"
    ):
        open_source("huggingface", path=folder, label="breed")


def test_a_table_without_images_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "d", {"text": ["a"]}, {"text": datasets.Value("string")})
    with pytest.raises(DataError, match="no column holds images: the columns are text"):
        open_source("huggingface", path=str(folder))


def test_hostile_rows_are_refused_and_the_others_read(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    rows = [
        {"bytes": encode(1), "path": None},
        {"bytes": bomb.getvalue(), "path": None},
        {"bytes": b"\x80\x04cposix\nsystem\n", "path": None},
        {"bytes": b"", "path": None},
        None,
    ]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a"])}
    folder = save(tmp_path / "d", {"image": rows, "label": [0] * len(rows)}, features)
    split = open_source("huggingface", path=str(folder)).open("all")
    assert split[0].image.shape == (3, 24, 32)
    for index, words in (
        (1, "row 1' is 9000 x 9000"),
        (2, "row 2' is not an image"),
        (3, "row 3"),
        (4, "row 4"),
    ):
        with pytest.raises(DataError, match=words):
            split[index]


def test_a_row_that_names_a_file_elsewhere_does_not_read_it(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    secret = tmp_path / "secret.png"
    Image.fromarray(draw_shape(0, 8, 8)).save(secret)
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    cells = [{"bytes": None, "path": str(secret)}, {"bytes": None, "path": "../secret.png"}]
    (tmp_path / "d").mkdir()
    table = pyarrow.table({"image": pyarrow.array(cells, kind), "label": ["a", "b"]})
    parquet.write_table(table, tmp_path / "d" / "train.parquet")
    source = open_source("huggingface", path=str(tmp_path / "d"))
    with pytest.raises(DataError, match=r"row 0 names '.*', a file outside the data set"):
        source.open("train")[0]
    with pytest.raises(DataError, match="row 1 names"):
        source.open("train")[1]


def test_a_folder_that_would_run_code_or_unpickle_does_neither(tmp_path: Path) -> None:
    script, frames = tmp_path / "script", tmp_path / "frames"
    script.mkdir()
    (script / "script.py").write_text("raise SystemExit('it ran')")
    frames.mkdir()
    (frames / "train.pkl").write_bytes(pickle.dumps(Trap()))
    for folder in (script, frames):
        with pytest.raises(DataError, match=r"cannot be read as a data set|not used here"):
            open_source("huggingface", path=str(folder))


class Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    "named",
    [
        "{hub}/x.parquet",
        "hf://datasets/owner/name/x.parquet",
        "{elsewhere}/*.parquet",
        "../written/*.parquet",
    ],
)
@pytest.mark.parametrize("form", ["data_files: '{0}'", "data_files: [{{split: train, path: ['{0}']}}]"])
def test_a_folder_whose_card_names_files_elsewhere_reads_none_and_asks_nobody(
    tmp_path: Path, named: str, form: str
) -> None:
    hub = Hub()
    word = named.format(hub=hub.address, elsewhere=write_parquet(tmp_path / "written"))
    folder = write_parquet(tmp_path / "data")
    card = form.format(word)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  {card}\n---\n")
    with pytest.raises(DataError, match="lies outside of it and is not read"):
        open_source("huggingface", path=str(folder))
    (folder / "README.md").rename(folder / ".huggingface.yaml")
    (folder / ".huggingface.yaml").write_text(f"configs:\n- config_name: default\n  {card}\n")
    with pytest.raises(DataError, match="lies outside of it and is not read"):
        open_source("huggingface", path=str(folder))
    hub.stop()
    assert hub.asked == []


def test_a_card_may_name_the_folder_s_own_files(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "data", images=4)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files: [{split: holdout, path: 'test-*.parquet'}]\n---\n"
    )
    source = open_source("huggingface", path=str(folder), config="small")
    assert dict(source.info.splits) == {"holdout": 4}


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    folder = write_saved(tmp_path / "saved")
    (folder / "train" / "data-00000-of-00001.arrow").write_bytes(b"no arrow")
    with pytest.raises(
        DataError, match=r"saved' cannot be read as a data set \(.*\): get or write it anew"
    ) as caught:
        open_source("huggingface", path=str(folder))
    assert "\n" not in str(caught.value)
    folder = write_parquet(tmp_path / "parquet")
    file = folder / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match="cannot be read as a data set"):
        open_source("huggingface", path=str(folder))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ConfigError, "--name owner/name of the hub or --path"),
        ({"name": "a/b", "path": "x"}, ConfigError, "one of the two"),
        ({"name": "../x"}, ConfigError, "owner/name"),
        ({"path": "nowhere"}, MissingDataError, "does not exist: name a folder or a .parquet file with --path"),
        ({"path": ".", "stream": 5}, ConfigError, "--stream and --revision belong to a --name"),
        (
            {"name": "owner/drawn", "revision": "v2", "config": "small"},
            MissingDataError,
            "owner/drawn at revision v2 is not in .*prepare huggingface --name owner/drawn --config small --revision v2"
            " --download` brings it",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_the_mend(
    options: dict[str, Any], error: type[ChimeraError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        open_source("huggingface", **options)
    assert "\n" not in str(caught.value)


def test_a_split_pickles_without_its_images(tmp_path: Path) -> None:
    split = open_source("huggingface", path=str(write_saved(tmp_path / "saved", images=60))).open("train")
    assert len(pickle.dumps(split)) < 4000
    assert pickle.loads(pickle.dumps(split))[7].label == split[7].label


def test_a_changed_parquet_file_is_read_anew(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "d", images=4)
    before = open_source("huggingface", path=str(folder)).files("train")
    write_parquet(folder, images=6)
    source = open_source("huggingface", path=str(folder))
    assert source.files("train") != before and len(source.open("train")) == 6


def test_a_damaged_record_of_a_copy_is_one_line(tmp_path: Path) -> None:
    family = tmp_path / "assets" / "huggingface" / "owner--drawn" / "default"
    family.mkdir(parents=True)
    for text in ("{", json.dumps([1]), json.dumps({"": 3})):
        (family / "latest.json").write_text(text)
        with pytest.raises(DataError, match=r"latest.json.*remove it, and download"):
            open_source("huggingface", name="owner/drawn")
