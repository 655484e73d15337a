"""One made-up comparison with its report, for all tests here that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chimera_core.compare.report import write_report
from chimera_core.testing.fixtures.comparison import write_comparison


@pytest.fixture(scope="package")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare") / "made-up"
    write_comparison(folder)
    write_report(folder)
    return folder
