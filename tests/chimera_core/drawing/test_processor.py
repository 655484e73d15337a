"""How a CPU draws."""

from __future__ import annotations

import ctypes

import pytest
import torch

from chimera_core.drawing.processor import drawing_on

CPU = torch.device("cpu")


def test_one_thread_draws_and_the_number_is_given_back_after_an_error_too() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), drawing_on(CPU):
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_another_device_keeps_its_threads() -> None:
    before = torch.get_num_threads()
    with drawing_on(torch.device("meta")):
        assert torch.get_num_threads() == before


def test_pages_are_not_asked_for_again_in_each_step() -> None:
    resource = pytest.importorskip("resource")
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("this C library has no thresholds to set")
    with drawing_on(CPU):
        for step in range(13):
            if step == 3:  # the heap has grown
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.ones(20 * 2**18).add(1).sum()  # 20 MiB twice
        # Of new pages there would be 102,400 of 4 KiB.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 102_400 / 4


def test_without_such_thresholds_it_draws_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with drawing_on(CPU):
        assert torch.get_num_threads() == 1
