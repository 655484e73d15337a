"""Examples with a fault each: the law that it breaks is named first, and no law that it has nothing to do with."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.files.shipped import shipped_path
from chimera_core.laws import Law
from chimera_core.testing import (
    check_encoder,
    check_fuser,
    check_learner,
    check_metric,
    check_reader,
    check_source,
    check_trainer,
)

FUSER = [
    ("resize_shorter(_image_of(parents[0]), size)", "resize_shorter(_image_of(parents[0]), size // 2)", "size-asked-for"),
    ("torch.stack(made).clamp(0, 1)", "torch.stack(made) * 255", "in-range"),
    ("torch.stack(made).clamp(0, 1)", "torch.stack(made).double()", "float32"),
    ("torch.stack(made).clamp(0, 1)", "torch.stack(made[:1])", "one-picture-a-seed"),
    ("torch.stack(made).clamp(0, 1)", "torch.stack(made) * float('nan')", "finite"),
    ("generator = torch.Generator().manual_seed(seed)", "generator = None", "global-generators-unread"),
    ("generator = torch.Generator().manual_seed(seed)", "generator = torch.manual_seed(seed)", "global-generators-unmoved"),
    ("self._shares(weights, seed)", "self._shares(weights, seeds[0] + k)", "seed-alone"),
    ("torch.tensor(weights).cumsum", "torch.tensor(weights).mul(0.9).cumsum", "weight-one"),
    ("torch.tensor(weights).cumsum", "(torch.tensor(weights) > 0.5).float().cumsum", "smooth-way"),
    ("        made = []", "        made = [] if parents[1].image.mul_(0.5) is not None else []", "parents-stay"),
]  # fmt: skip
LEARNER = [
    ("loss = difference + self.config.kl * kl", "self.n = getattr(self, 'n', 0) + 1; loss = difference * self.n + kl", "no-hidden-state"),
    ('            "average": self.average.module,\n', "", "no-hidden-state"),
    ("set_rate(self.adam, engine.rate)", "pass", "rate-is-obeyed"),
    ('"kl": kl.detach()', '"rate": kl.detach()', "metric-names-are-free"),
    ('"loss": loss.detach()', '"loss": loss', "metrics-are-scalars"),
    ("engine.average_gradients(", "list(", "gradients-are-averaged"),
    ("self.adam.step()", "pass", "learns"),
    ("return images.cpu()", "return images.cpu() * 2 - 1", "samples-in-range"),
    ("code_of(seed + k, self.config.codes)", "torch.randn(self.config.codes)", "samples-by-seed"),
    ("draw.normal(self.config.codes, purpose=\"code\")", "__import__('random').random()", "draws-alone"),
    ("t.detach().clone()", "t.detach().bfloat16()", "state-is-fp32"),
    ("    @torch.no_grad()\n    def sample", "    def facts(self):\n        return {'classes': {1, 2}}\n\n    @torch.no_grad()\n    def sample", "facts-are-json"),
]  # fmt: skip
SOURCE = [
    ("Counter(split for file, _, split in self._rows if file.is_file())", "{'train': 3, 'val': 8}", "counts-match"),
    ("(file for file, _ in rows), labels)", "(file for file, _ in rows), labels[:-1])", "label-for-each-image"),
    ("self._classes.index(name)", "self._classes.index(name) + 1", "labels-are-classes"),
    ("self.labels[index])", "0)", "labels-of-examples"),
    ("raise DataError(f\"source csv-list has", "raise KeyError(f\"source csv-list has", "unknown-split"),
    (".contiguous()", ".contiguous() / 255", "uint8-rgb"),
    (".permute(2, 0, 1)", "", "uint8-rgb"),
    ("return len(self.paths)", "return len(self.paths) - 1", "counts-match"),
    ("        picture = read_picture", "        index %= len(self.paths)\n        picture = read_picture", "ends"),
    ("    labels: tuple[int, ...]\n", "    labels: tuple[int, ...]\n\n    def __post_init__(self):\n        object.__setattr__(self, 'f', lambda: 0)\n", "travels"),
]  # fmt: skip
ENCODER = [
    ("2 ** (k + 1)", "2**k", "strides-as-declared"),
    ('f"stage{k}", c,', 'f"stage{k}", c + 1,', "channels-as-declared"),
    ("        maps = self._maps(x, 1 + max(levels))\n        return [maps[level] for level in levels]", "        maps = self._maps(x, 1 + max(levels))\n        return [maps[level] for level in sorted(levels)]", "levels-in-order-asked"),
    ("raise ConfigError(", "raise IndexError(", "unknown-level"),
    ("with torch.random.fork_rng(devices=[]):", "if True:", "constructor-leaves-generators"),
    ("x = (x - 0.5) / 0.25", "x = (x.detach() - 0.5) / 0.25", "gradient-to-pixels"),
    ("x = (x - 0.5) / 0.25", "x = (x - x[:1]) / 0.25", "batch-independent"),
    ("x = (x - 0.5) / 0.25", "x = (x - torch.rand(1)) / 0.25", "deterministic"),
    ("        logits: Tensor = self", "        self.train()\n        logits: Tensor = self", "mode-stays"),
]  # fmt: skip
TRAINER = [
    ("self.config.eps_255 / 255", "self.config.eps_255 / 100", "within-budget"),
    ("project_linf(x + eps * gradient.sign(), x, eps=eps)", "x + eps * gradient.sign()", "in-range"),
    ("project_linf(x + eps * gradient.sign(), x, eps=eps)", "project_linf(x + eps * gradient.sign(), x, eps=eps).requires_grad_()", "attacked-images"),
    ("with attack_mode(encoder):", "if encoder.eval():", "encoder-mode-stays"),
    ('"clean": clean', '"lr": clean', "metric-names-are-free"),
    ('"clean": clean', '"clean": 1.0', "metrics-are-scalars"),
    ("return total,", "return total.expand(2),", "scalar-loss"),
    ("return total,", "self.n = getattr(self, 'n', 0) + 1\n        return total * self.n,", "no-state"),
    ("gradient.sign()", "gradient.add(0.1 * __import__('torch').randn_like(gradient)).sign()", "draws-alone"),
    ("gradient.sign()", "gradient.sign() * len(x) / 9", "draws-belong-to-examples"),
]  # fmt: skip
METRIC = [
    ("share.where(expected > 0, torch.nan)", "share.mean()", "value-for-each"),
    ("share.where(expected > 0, torch.nan)", "share - share.mean()", "by-itself"),
    ('better = ""', 'better = "more"', "explains-itself"),
]  # fmt: skip
READER = [
    ("        return width, height\n", "        return height, width\n", "size-as-read"),
    ('raise DataError("it is no QOI file")', 'raise SystemExit("it is no QOI file")', "broken-files-end"),
]  # fmt: skip


def laws_of(package: str, folder: Path) -> list[Law]:
    def module(name: str) -> Any:
        return importlib.import_module(f"{package}.{name}")

    config: Callable[..., Any] = next(
        value
        for name, value in vars(module("plugin")).items()
        if name.endswith("Config") and name != "Config"
    )
    if package == "chimera_dissolve":
        return check_fuser(lambda: module("fuser").Dissolve(config()))
    if package == "chimera_cvae":

        def loaded(state: Any, facts: Any) -> Any:
            fuser = module("fuser").Cvae(config())
            fuser.load(state, facts)
            return fuser

        return check_learner(
            lambda data: module("learner").CvaeLearner(config(), data, device="cpu"), load=loaded
        )
    if package == "chimera_csv_list":
        options = module("checking").prepare(folder)
        return check_source(lambda: module("source").CsvList(config(**options)))
    if package == "chimera_tiny":
        return check_encoder(lambda: module("encoder").Tiny(config()))
    if package == "chimera_vivid":
        return check_metric(lambda: module("metric").Vivid(config()))
    if package == "chimera_qoi":
        return check_reader(lambda: module("reader").Qoi(config()), write=module("checking").write_pictures)
    return check_trainer(lambda: module("trainer").SignStep(config()))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], list[str]]:
    """Edit a module of an example, and name the laws that it breaks then."""

    def find(file: str, old: str, new: str) -> list[str]:
        distribution, package, _ = file.split("/")
        shutil.copytree(
            shipped_path("examples/plugins") / distribution / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        edited = tmp_path / package / file.rpartition("/")[2]
        text = edited.read_text(encoding="utf-8")
        assert old in text
        edited.write_text(text.replace(old, new, 1), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        data = tmp_path / "data"
        data.mkdir()
        try:
            outcomes = [law.outcome() for law in laws_of(package, data)]
        finally:
            for name in [n for n in sys.modules if n.partition(".")[0] == package]:
                del sys.modules[name]
        return [outcome.law.name for outcome in outcomes if outcome.verdict == "broken"]

    return find


ALONG_WITH = {
    "counts-match": {"ends", "label-for-each-image"},
    "finite": {"in-range"},
    "label-for-each-image": {"labels-of-examples", "examples-decode"},
    "state-is-fp32": {"loads"},
}
"""Laws that are broken by the same fault, and named after it."""
MUTANTS = [
    (file, *mutant)
    for file, mutants in (
        ("chimera-dissolve/chimera_dissolve/fuser.py", FUSER),
        ("chimera-cvae/chimera_cvae/learner.py", LEARNER),
        ("chimera-csv-list/chimera_csv_list/source.py", SOURCE),
        ("chimera-tiny/chimera_tiny/encoder.py", ENCODER),
        ("chimera-sign-step/chimera_sign_step/trainer.py", TRAINER),
        ("chimera-vivid/chimera_vivid/metric.py", METRIC),
        ("chimera-qoi/chimera_qoi/reader.py", READER),
    )
    for mutant in mutants
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "law"), MUTANTS, ids=[f"{m[0].split('/')[0]}-{m[3]}" for m in MUTANTS]
)
def test_the_law_that_a_mutant_breaks_is_named(
    broken: Callable[[str, str, str], list[str]], file: str, old: str, new: str, law: str
) -> None:
    found = broken(file, old, new)
    assert found[:1] == [law]
    assert set(found) <= {law, *ALONG_WITH.get(law, ())}
