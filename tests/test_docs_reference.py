"""docs/reference/hooks.md holds every hook and every name of the API, with their very signatures, and no others."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from chimera_core import api
from chimera_core.plugins import hookspecs

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "hooks.md"
INTERFACES = (
    "DatasetSource", "FeatureEncoder", "RobustnessTrainer", "FusionGenerator", "FuserLearner",
    "AdversarialAttack", "BatchAugmentation", "CreatureMetric", "ImageReader", "OutlineFinder", "RunLogger",
)  # fmt: skip
MADE_BY_AUTHORS = ("Draw", "Ema")
"""Classes whose constructors and methods plugins and their tests call."""
PROTOCOLS = ("ImageSplit",)


class Written:
    """An annotation that shows as it is written in the source."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature_of(thing: Any, name: str) -> str:
    def shown(annotation: Any) -> Any:
        annotation = getattr(annotation, "__forward_arg__", annotation)
        return Written(annotation) if isinstance(annotation, str) else annotation

    made = {f.name: f.default_factory for f in getattr(thing, "__dataclass_fields__", {}).values()}

    def default_of(parameter: inspect.Parameter) -> Any:
        factory, default = made.get(parameter.name, dataclasses.MISSING), parameter.default
        if factory is not dataclasses.MISSING:
            return Written(repr(factory()))
        is_named = inspect.isfunction(default) or (
            isinstance(default, type) and default is not inspect.Parameter.empty
        )
        return Written(default.__name__) if is_named else default

    if isinstance(thing, type) and issubclass(thing, api.Config):
        thing.model_rebuild()  # a model has its signature from its first use on
    found = inspect.signature(thing)
    parameters = [
        p.replace(annotation=shown(p.annotation), default=default_of(p)) for p in found.parameters.values()
    ]
    returns = found.empty if isinstance(thing, type) else shown(found.return_annotation)
    return name + str(found.replace(parameters=parameters, return_annotation=returns)).replace("typing.", "")


def expected_signatures() -> dict[str, list[str]]:
    """Map names to the signatures that their entry must show; exceptions, markers and protocols show none."""
    expected: dict[str, list[str]] = {}
    for name in api.__all__:
        thing = getattr(api, name)
        is_record = dataclasses.is_dataclass(thing) or name in (
            "Example",
            "EncoderRef",
            "SourceRef",
            "FusionGenerator",
            *MADE_BY_AUTHORS,
        )
        if inspect.isfunction(thing) or is_record:
            expected[name] = [signature_of(thing, name)]
        if name in (*INTERFACES, *MADE_BY_AUTHORS, *PROTOCOLS):
            methods = {
                m: f
                for m, f in vars(thing).items()
                if inspect.isfunction(f) and (m[0] != "_" or m == "__call__")
            }
            methods.pop("progress", None)
            expected.setdefault(name, []).extend(signature_of(f, f"{name}.{m}") for m, f in methods.items())
    for hook in (kind.hook for kind in hookspecs.KINDS.values()):
        expected[hook] = [signature_of(getattr(hookspecs, hook), hook)]
    return expected


def documented() -> dict[str, dict[str, str]]:
    """Read the page: chapter -> name -> the text below its heading."""
    chapters: dict[str, dict[str, str]] = {}
    for chapter in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, *entries = re.split(r"^### ", chapter, flags=re.MULTILINE)
        named = [entry.partition("\n") for entry in entries]
        names = [name.strip("`") for name, _, _ in named]
        assert len(names) == len(set(names)), "a name has two entries"
        chapters[title.partition("\n")[0]] = {n: t for n, (_, _, t) in zip(names, named, strict=True)}
    return chapters


def test_every_hook_and_every_name_is_documented_and_nothing_else() -> None:
    assert documented().keys() == {"Hooks", "Names of `chimera_core.api`"}
    hooks, names = documented().values()
    specified = {name for name in vars(hookspecs) if name.startswith("chimera_")}
    assert hooks.keys() == specified == {kind.hook for kind in hookspecs.KINDS.values()}
    assert names.keys() == set(api.__all__)


def test_entries_show_the_very_signatures_and_say_something() -> None:
    expected = expected_signatures()
    for name, text in {n: t for chapter in documented().values() for n, t in chapter.items()}.items():
        blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        shown = _dense("".join(blocks))
        assert shown == _dense("".join(expected.get(name, []))), (
            f"mend the signature of {name} in {PAGE.name}"
        )
        assert len(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).split()) >= 4, name


def _dense(text: str) -> str:
    """Leave out white space: the page may break long lines."""
    return "".join(text.split())
