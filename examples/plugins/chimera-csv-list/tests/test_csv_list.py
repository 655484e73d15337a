"""Tests of the source: first the laws that all sources keep, then what this one does."""

from pathlib import Path

import pytest
from chimera_core.api import DataError, MissingDataError
from chimera_core.testing import Law, check_component, parametrize_with_laws

from chimera_csv_list.checking import prepare
from chimera_csv_list.plugin import CsvListConfig
from chimera_csv_list.source import CsvList


@parametrize_with_laws(check_component("csv-list"))
def test_it_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


def test_a_row_whose_file_is_lost_is_left_out_and_listed(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "val" / "disc" / "0.png").unlink()
    source = CsvList(CsvListConfig(root=tmp_path))
    assert source.info.splits == {"train": 16, "val": 7}
    assert len(source.open("val")) == 7
    assert "0.png: there is no such file" in source.info.unreadable[0]


def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="--root"):
        CsvList(CsvListConfig(root=tmp_path))
    (tmp_path / "images.csv").write_text("file,class\na.png,cat")
    with pytest.raises(DataError, match="without split"):
        CsvList(CsvListConfig(root=tmp_path))
    (tmp_path / "images.csv").write_text("file,class,split\n../a.png,cat,train")
    with pytest.raises(DataError, match="outside"):
        CsvList(CsvListConfig(root=tmp_path))
