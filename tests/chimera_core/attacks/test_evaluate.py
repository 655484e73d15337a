"""Accuracy under attacks, and the signs of masked gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from chimera_core.api import ConfigError, DataError, Draw, FeatureEncoder
from chimera_core.attacks import catalogue
from chimera_core.attacks.catalogue import Fgsm, Pgd, Square, standard_attacks
from chimera_core.evaluation.attacked import AttackResults, evaluate_attacks, masking_attacks, masking_signs


class Brightness(nn.Module):
    """Class 1 is a mean above one half."""

    def __init__(self, *, hides: bool = False) -> None:
        super().__init__()
        self.hides = hides
        self.gain = nn.Parameter(torch.tensor(20.0))

    def forward(self, x: Tensor) -> Tensor:
        over = self.gain * (x.mean(dim=(1, 2, 3)) - 0.5)
        if self.hides:  # the same decision from steps: no gradient shows the way
            over = (over * 50).round() / 50
        return torch.stack([-over, over], dim=1) + 0 * x.sum(dim=(1, 2, 3))[:, None]


def shades() -> tuple[Tensor, Tensor, Tensor]:
    """Plain images at 0.42, 0.46, 0.54 and 0.58, and one that is labelled wrongly."""
    values = torch.tensor([0.42, 0.46, 0.54, 0.58, 0.9])
    return (
        values.view(-1, 1, 1, 1).expand(5, 3, 8, 8).contiguous(),
        torch.tensor([0, 0, 1, 1, 0]),
        torch.arange(5),
    )


def nothing(encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
    return x


def inverted(encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
    return torch.where((draw.indices == 3).view(-1, 1, 1, 1), 1 - x, x)


def test_accuracies_are_those_that_the_distances_demand() -> None:
    # A shade falls when the budget reaches one half; what was wrong before counts as lost under every attack.
    attacks = {"nothing": nothing, "fgsm": Fgsm(0.05), "pgd": Pgd(0.09), "inverted": inverted}
    found = evaluate_attacks(Brightness(), [shades()], attacks, seed=0)
    assert found.n == 5
    assert found.accuracies() == {
        "clean": 0.8,
        "nothing": 0.8,
        "fgsm": 0.4,
        "pgd": 0.0,
        "inverted": 0.6,
        "worst": 0.0,
    }
    assert found.right["fgsm"].tolist() == [True, False, False, True, False]


def test_worst_is_what_no_attack_fooled() -> None:
    found = evaluate_attacks(Brightness(), [shades()], {"fgsm": Fgsm(0.05), "inverted": inverted}, seed=0)
    assert found.right["worst"].tolist() == [True, False, False, False, False]
    assert found.count("worst") == 1


def test_results_do_not_hang_on_the_batches(encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    indices = torch.arange(10)
    attacks = {"pgd": Pgd(0.01, steps=3), "square": Square(0.01, queries=20)}
    whole = evaluate_attacks(encoder, [(x, y, indices)], attacks, seed=1)
    parts = [(x[rows], y[rows], indices[rows]) for rows in (slice(0, 3), slice(3, 10))]
    again = evaluate_attacks(encoder, iter(parts), attacks, seed=1)
    assert all(torch.equal(whole.right[name], again.right[name]) for name in whole.right)
    assert torch.equal(again.indices, indices)


def test_evaluation_leaves_the_mode_alone(encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]) -> None:
    encoder.train()
    evaluate_attacks(encoder, [(*batch, torch.arange(10))], {"fgsm": Fgsm(0.01)}, seed=0)
    assert all(module.training for module in encoder.modules())


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="no image to evaluate"):
        evaluate_attacks(Brightness(), [], {}, seed=0)


def test_an_honest_network_shows_no_sign_of_masking() -> None:
    attacks = masking_attacks(norm="linf", eps=0.05, shape=(3, 8, 8))
    assert masking_signs(evaluate_attacks(Brightness(), [shades()], attacks, seed=0)) == []


def test_a_network_that_hides_its_gradient_is_found_out() -> None:
    attacks = masking_attacks(norm="linf", eps=0.05, shape=(3, 8, 8))
    signs = masking_signs(evaluate_attacks(Brightness(hides=True), [shades()], attacks, seed=0))
    assert any("black box is stronger" in sign and "80.0% under pgd" in sign for sign in signs)
    assert any("without limit does not win" in sign for sign in signs)


def test_single_step_stronger_than_many_is_a_sign() -> None:
    def row(count: int) -> Tensor:
        return torch.arange(100) < count

    right = {"clean": row(90), "fgsm": row(30), "pgd": row(40), "square": row(45), "large": row(0)}
    (sign,) = masking_signs(AttackResults(right, torch.arange(100)))
    assert "one step is stronger than twenty: 30.0% stay right under fgsm, but 40.0% under pgd" in sign


def test_the_standard_attacks_name_what_they_are() -> None:
    assert list(standard_attacks(norm="l2", eps=1.0)) == ["fgsm", "pgd-20", "pgd-50x5", "square"]
    with pytest.raises(ConfigError, match="write 8/255"):
        standard_attacks(norm="linf", eps=8)


def test_autoattack_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(catalogue.importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'chimera-toolkit\[parity\]'"):
        standard_attacks(norm="linf", eps=0.1, autoattack=True)
