"""How cyclegan learns: its losses by hand, its step, its state, its samples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chimera_gan.cyclegan_config import CycleGanConfig
from chimera_gan.cyclegan_learner import CycleGanLearner, critic_objective, per_image, rate_factor
from torch import Tensor, nn

from chimera_core.api import Batch, ConfigError, Draw, Engine, FuserData
from chimera_core.data.batches import TensorSplit

SIZE = 16
CLASSES = ("person", "cat")


def split(labels: list[int]) -> TensorSplit:
    """Noise around a colour by class."""
    noise = torch.randint(0, 80, (len(labels), 3, SIZE, SIZE), generator=torch.Generator().manual_seed(5))
    images = noise + 60 * torch.tensor(labels).view(-1, 1, 1, 1)
    return TensorSplit(images.to(torch.uint8), torch.tensor(labels))


def learner(
    labels: list[int] | None = None, classes: tuple[str, ...] = CLASSES, size: int = SIZE, **options: Any
) -> CycleGanLearner:
    config = CycleGanConfig(**{"width": 2, "blocks": 1, "critic_width": 2, "pool": 3, "bank": 2} | options)
    images = split([0, 1] * 6 if labels is None else labels)
    data = FuserData(images, classes, size, batch=4, seed=0, total_images=400)
    return CycleGanLearner(config, data, device="cpu")


def step(one: CycleGanLearner, number: int, rows: list[int], *, images: int = 0) -> dict[str, Tensor]:
    indices = torch.tensor(rows)
    split = one.data.images
    batch = Batch(split.take(indices), split.labels[indices], split.domains[indices], indices)
    draw = Draw(0, 0, indices, step=number)
    return one.step(batch, draw=draw, engine=Engine(device=torch.device("cpu"), images=images))


def tensors(one: CycleGanLearner) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, module in one.modules.items()
        for key, value in module.state_dict().items()
    }


class Scale(nn.Module):
    """x * factor; with strength 0, x * still."""

    def __init__(self, factor: float, still: float = 1.0) -> None:
        super().__init__()
        self.factor, self.still = nn.Parameter(torch.tensor(factor)), still

    def forward(self, x: Tensor, strength: float = 1.0) -> Tensor:
        return x * (self.factor if strength else self.still)


def test_the_critics_loss_by_hand() -> None:
    """D(x) = x: reals of 0.5 and 0 are 1/4 and 1 from 1, a fake of 0.5 is 1/4 from 0; half the sum over share."""
    reals = torch.tensor([0.5, 0.0]).view(2, 1, 1, 1).expand(-1, 3, 2, 2)
    fakes = torch.full((1, 3, 2, 2), 0.5)
    loss = critic_objective(nn.Identity(), reals, fakes, share=2.0)
    assert loss.item() == pytest.approx((0.25 + 1 + 0.25) / (2 * 2))
    assert critic_objective(nn.Identity(), reals[:0], fakes[:0], share=2.0).item() == 0


def test_per_image_sums_means() -> None:
    x = torch.tensor([[1.0, -3.0], [2.0, 0.0]])
    assert per_image(x, power=1).item() == pytest.approx(2 + 1)
    assert per_image(x, power=2).item() == pytest.approx(5 + 2)


def test_the_translators_losses_by_hand() -> None:
    """Halving there and tripling back, a critic that gives what it sees, images of 0.4, one of the two classes.

    There 0.2, judged (0.2 - 1)^2; back 0.6, so the cycle is 0.2 off; its own translator makes 1.2 of 0.4, 0.8 off;
    without blocks 0.3, 0.1 off. Four images over a share of 2 count twice.
    """
    one = learner()
    one.translators["to_second"], one.translators["to_first"] = Scale(0.5, still=0.75), Scale(3.0)
    one.critics["second"] = Scale(1.0)
    losses = {name: torch.zeros(()) for name in ("adversarial", "cycle", "identity", "still")}
    fake = one._translate_and_return(0, torch.full((4, 3, SIZE, SIZE), 0.4), losses, 2.0)
    assert fake.unique().tolist() == pytest.approx([0.2])
    assert {k: v.item() / 2 for k, v in losses.items()} == pytest.approx(
        {"adversarial": 0.64, "cycle": 0.2, "identity": 0.8, "still": 0.1}
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"adversarial": 1.0, "cycle": 20.0, "identity": 10.0, "still": 10.0}),
        ({"cycle": 5.0, "identity": 0.2, "still": 0}, {"adversarial": 1.0, "cycle": 10.0, "identity": 2.0}),
    ],
)
def test_losses_weigh_as_in_the_paper(
    options: dict[str, float], expected: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """lambda 10 there is for pixels in [-1, 1], where the same pictures are twice as far apart as in [0, 1]."""
    one = learner(**options)
    totals: dict[str, Tensor] = {}
    monkeypatch.setattr(one, "_update", lambda name, loss, engine: totals.update({name: loss}))
    logged = step(one, 0, [0, 1, 2, 3])
    by_hand = sum(weight * float(logged[name]) for name, weight in expected.items())
    assert float(totals["translators"].detach()) == pytest.approx(by_hand)


def test_the_rate_falls_to_nothing_in_the_second_half() -> None:
    found = [rate_factor(n, total_images=400) for n in (0, 199, 200, 300, 399, 400, 500)]
    assert found == pytest.approx([1, 1, 1, 0.5, 0.005, 0, 0])
    one = learner()
    step(one, 0, [0, 1, 2, 3], images=300)
    assert one.optimizers["translators_optimizer"].param_groups[0]["lr"] == pytest.approx(0.5 * one.config.lr)


@pytest.mark.slow
def test_a_step_moves_every_network_and_is_a_function_of_its_arguments() -> None:
    one, other = learner(), learner()
    before = tensors(one)
    logged = step(one, 0, [0, 1, 2, 3])
    torch.manual_seed(99)
    again = step(other, 0, [0, 1, 2, 3])
    assert set(logged) == {"adversarial", "cycle", "identity", "still", "critic"}
    assert all(torch.equal(logged[name], again[name]) and not logged[name].requires_grad for name in logged)
    after, same = tensors(one), tensors(other)
    assert all(torch.equal(after[name], same[name]) for name in after)
    for part in (
        "translators.to_first",
        "translators.to_second",
        "critics.first",
        "critics.second",
        "average",
    ):
        assert any(not torch.equal(after[n], before[n]) for n in after if n.startswith(part)), part


@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit_from_its_modules_and_optimizers() -> None:
    rows = [[0, 1, 2, 3], [4, 5, 6, 8], [7, 9, 10, 11], [1, 3, 0, 4]]
    whole, begun, resumed = learner(), learner(), learner()
    for k in range(4):
        step(whole, k, rows[k], images=4 * k)
    for k in range(2):
        step(begun, k, rows[k], images=4 * k)
    for name, module in resumed.modules.items():
        module.load_state_dict(begun.modules[name].state_dict())
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(begun.optimizers[name].state_dict())
    for k in range(2, 4):
        step(resumed, k, rows[k], images=4 * k)
    ends, expected = tensors(resumed), tensors(whole)
    assert all(torch.equal(ends[name], expected[name]) for name in expected)


def test_a_batch_of_one_class_trains_what_it_can() -> None:
    one = learner()
    before = tensors(one)
    logged = step(one, 0, [0, 2, 4, 6])
    assert all(value.isfinite() for value in logged.values())
    after = tensors(one)
    assert not torch.equal(
        after["critics.second.layers.0.weight"], before["critics.second.layers.0.weight"]
    )  # it saw translations


def test_a_batch_of_neither_class_changes_no_weight() -> None:
    one = learner([0, 1, 2, 2], ("person", "cat", "dog"), first="person", second="cat")
    before = tensors(one)
    logged = step(one, 0, [2, 3])
    assert all(value.item() == 0 for value in logged.values())
    after = tensors(one)
    assert all(torch.equal(after[n], before[n]) for n in after if not n.startswith("average"))


@pytest.mark.slow
def test_two_processes_average_to_the_gradients_of_one() -> None:
    """Shares of different classes, one of them with one class only."""
    kept: list[Tensor] = []

    def keep(parameters: Any) -> None:
        kept.extend(p.grad.clone() for p in parameters)

    def gradients(rows: list[int]) -> list[Tensor]:
        kept.clear()
        one = learner()
        for optimizer in one.optimizers.values():
            optimizer.step = lambda: None  # type: ignore[method-assign]
        indices = torch.tensor(rows)
        split = one.data.images
        batch = Batch(split.take(indices), split.labels[indices], split.domains[indices], indices)
        engine = Engine(device=torch.device("cpu"), average_gradients=keep)
        one.step(batch, draw=Draw(0, 0, indices, step=0), engine=engine)
        return list(kept)

    whole = gradients([0, 2, 1, 4])
    halves = [gradients([0, 2]), gradients([1, 4])]
    for expected, first, second in zip(whole, *halves, strict=True):
        torch.testing.assert_close((first + second) / 2, expected, rtol=1e-4, atol=5e-6)


def test_classes_are_found_or_named() -> None:
    assert learner().facts() == {"first": "person", "second": "cat"}
    named = learner([0, 1, 2], ("person", "cat", "dog"), first="dog", second="cat")
    assert named.facts() == {"first": "dog", "second": "cat"}
    assert learner().shows_sweeps and not named.shows_sweeps  # the loop knows all three classes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [0, 0], "classes": ("person",)}, r"two classes, but the data have 1 \(person\)"),
        ({"labels": [0, 1, 2], "classes": ("person", "cat", "dog")}, "--first and --second"),
        ({"first": "person", "second": "lion"}, "no class 'lion'"),
        ({"labels": [0, 0]}, "class 'cat' has no image"),
        ({"size": 30}, "cannot make 30 pixels"),
        ({"size": 12}, "cannot make 12 pixels"),
    ],
)
def test_what_cannot_be_learned_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        learner(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"first": "cat"}, {"first": "cat", "second": "cat"}])
def test_half_a_pair_of_names_is_no_option(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="--first and --second"):
        CycleGanConfig(**options)


def test_samples_are_translations_in_both_directions_by_seed_alone() -> None:
    one = learner()
    many = one.sample(4, seed=6)
    assert many.shape == (4, 3, SIZE, SIZE) and many.min() >= 0 and many.max() <= 1
    assert torch.equal(one.sample(1, seed=8)[0], many[2])
    one.average.module["to_first"] = Scale(0.0)
    again = one.sample(4, seed=6)
    assert [bool((image == 0).all()) for image in again] == [False, True, False, True]
    assert torch.equal(
        one.sample(4, seed=6, averaged=False), many
    )  # the raw ones are what the average began as


def test_the_state_holds_averages_and_a_few_images() -> None:
    one = learner(bank=4)
    step(one, 0, [0, 1, 2, 3])
    state = one.state()
    assert {name.split(".")[0] for name in state} == {"to_first", "to_second", "bank"}
    assert all(value.dtype == torch.float32 for value in state.values())
    assert state["bank.first"].shape == (4, 3, SIZE, SIZE)
    assert state["bank.second"].max() <= 1
    name = "to_second.encode.0.weight"
    assert torch.equal(state[name], one.average.module.state_dict()[name])
    assert not torch.equal(state[name], one.translators.state_dict()[name])
