"""Write a new plugin's package: one of the example packages, under another name. Torch-free."""

from __future__ import annotations

import builtins
import datetime
import importlib.util
import io
import keyword
import os
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import broken_link, one_line, quote, write_text_atomic
from chimera_core.files.leftovers import temporary_name
from chimera_core.files.own_folders import make_folder, move, remove_tree
from chimera_core.files.shipped import shipped_path
from chimera_core.plugins.entries import KEBAB
from chimera_core.plugins.licences import licence_text

EXAMPLES = {
    "fuser": "dissolve",
    "trained-fuser": "cvae",
    "source": "csv-list",
    "encoder": "tiny",
    "trainer": "sign-step",
    "metric": "vivid",
}
"""Kind of a new package -> the component of the example that it is made from."""

_USES = {
    "fuser": "chimera fuse lion.jpg zebra.jpg --fuser {name} -o out.png",
    "trained-fuser": (
        "chimera fuser train {name} --source folder --source.root my/faces --images 20k --run mine\n"
        "chimera fuse dog cat --fuser mine -o out.png"
    ),
    "source": "chimera source info {name}\nchimera source preview {name} -o preview.png",
    "encoder": (
        "chimera encoder train --source folder --source.root my/animals --encoder {name} --images 20k --run mine\n"
        "chimera fuse lion.jpg zebra.jpg --fuser feature-morph --encoder mine -o out.png"
    ),
    "trainer": (
        "chimera encoder train --source folder --source.root my/animals --encoder cnn --trainer {name} \\\n"
        "    --images 20k --run mine"
    ),
    "metric": "chimera score style-transfer --parents lion.jpg zebra.jpg --metric {name}",
}
"""Kind -> lines that use any component of it: without options, which the new one will soon have others of."""
_README = """\
# {distribution}

{article} {what}. Say here what it does.

```sh
pip install .
chimera plugins show {name}
{uses}
```

The second command lists its options, and says how they are set.

## Work on it

```sh
pip install -e '.[test]'
pytest
chimera plugins check {name} --deep
```
"""

_LONGEST = 40
_PREFIX = "chimera-"
_WORKFLOW = "test.yml"
_WRITTEN_FOR = EXAMPLES["fuser"]  # the workflow, which all share


@dataclass(frozen=True)
class Words:
    """The name of a component, as it stands in its package: ``sign-step``, ``sign_step`` and ``SignStep``."""

    kebab: str

    @property
    def snake(self) -> str:
        """Of modules."""
        return self.kebab.replace("-", "_")

    @property
    def camel(self) -> str:
        """Of classes."""
        return "".join(part.capitalize() for part in self.kebab.split("-"))

    @property
    def package(self) -> str:
        """The package that is imported."""
        return f"chimera_{self.snake}"

    @property
    def distribution(self) -> str:
        """What is installed."""
        return _PREFIX + self.kebab


def check_name(name: str) -> Words:
    """Read the name of a new component; a distribution's, ``chimera-NAME``, means the same.

    Raises:
        ConfigError: if it is none, or its package would be one that is installed.
    """
    words = Words(name.removeprefix(_PREFIX))
    is_name = KEBAB.fullmatch(words.kebab) and words.kebab[0].isalpha() and len(words.kebab) <= _LONGEST
    if not is_name:
        raise ConfigError(
            f"{quote(one_line(name, limit=60))} is not a name of a component: write small letters, digits and single "
            f"dashes, a letter first, {_LONGEST} at most, such as my-fuser"
        )
    if importlib.util.find_spec(words.package):
        raise ConfigError(f"a package {words.package} is installed already: choose another name")
    return words


def package_files(words: Words, *, kind: str, licence: str = "none") -> dict[str, str]:
    """Make the files of a new package, by their paths in it.

    Args:
        words: the name of its component.
        kind: one of ``EXAMPLES``.
        licence: one of ``licences.NAMES``.
    Raises:
        ConfigError: if a class of its name would hide another one.
        RunError: if the examples did not come with this installation.
    """
    old = Words(EXAMPLES[kind])
    example = _read(shipped_path("examples/plugins") / old.distribution, old)
    _check_classes(old, words, example)
    files = {_renamed(path, old, words): _renamed(text, old, words) for path, text in example.items()}
    workflow = (shipped_path("examples/plugins") / _WORKFLOW).read_text(encoding="utf-8")
    files[f".github/workflows/{_WORKFLOW}"] = _renamed(workflow, Words(_WRITTEN_FOR), words)
    files["README.md"] = _readme(words, kind)
    line = "" if licence == "none" else f'license = "{licence}"\n'
    files["pyproject.toml"] = re.sub(r'license = ".*"\n', line, files["pyproject.toml"])
    holder = f"the authors of {words.distribution}"
    if text := licence_text(licence, holder=holder, year=datetime.date.today().year):
        files["LICENSE"] = text
    return files


def write_package(folder: Path, files: Mapping[str, str]) -> None:
    """Write a package, all of it or nothing.

    Args:
        folder: of the package, which must not exist.
        files: by their paths in it.
    Raises:
        ConfigError: if there is something at its place.
        RunError: if the disk refuses.
    """
    if os.path.lexists(folder):
        what = broken_link(folder) or "is there already, and nothing is overwritten"
        raise ConfigError(f"{quote(folder)} {what}: name another --folder")
    make_folder(folder.parent, mend="name another --folder")
    half = folder.parent / temporary_name(folder.name)
    try:
        for path, text in files.items():
            make_folder((half / path).parent, within=folder.parent)
            write_text_atomic(half / path, text)
        move(half, folder, within=folder.parent)
    except RunError as error:
        raise RunError(f"{error}, or name another --folder") from error
    finally:
        remove_tree(half, within=folder.parent)


def _readme(words: Words, kind: str) -> str:
    uses = _USES[kind].format(name=words.kebab)
    what = "fuser for Chimera that learns" if kind == "trained-fuser" else f"{kind} for Chimera"
    article = "An" if kind[0] in "aeiou" else "A"
    return _README.format(
        distribution=words.distribution, article=article, what=what, name=words.kebab, uses=uses
    )


def _read(folder: Path, words: Words) -> dict[str, str]:
    """Read the files of an example; caches and builds that somebody left there are none of it."""
    files = [
        folder / "pyproject.toml",
        *(folder / words.package).rglob("*.py"),
        *(folder / "tests").rglob("*.py"),
    ]
    try:
        return {f.relative_to(folder).as_posix(): f.read_text(encoding="utf-8") for f in sorted(files)}
    except OSError as error:
        raise RunError(f"cannot read the example {quote(folder)}: install chimera-toolkit anew") from error


def _renamed(text: str, old: Words, new: Words) -> str:
    """Put the new name where the old one stands; beside an underscore it is a part of a Python name."""
    text = re.sub(rf"(?<![A-Za-z]){old.camel}(?![a-z])", new.camel, text)
    spelled = "[-_]".join(old.kebab.split("-"))

    def replaced(found: re.Match[str]) -> str:
        return (
            new.snake if "_" in found[0] + found[1] + text[found.start() - 1 : found.start()] else new.kebab
        )

    return re.sub(rf"(?<![A-Za-z0-9]){spelled}(?=([^A-Za-z0-9]|$))", replaced, text)


def _check_classes(old: Words, new: Words, example: Mapping[str, str]) -> None:
    """Refuse a name whose classes would be called as something that the example uses."""
    modules = [text for path, text in example.items() if path.endswith(".py")]
    used = {
        token.string
        for text in modules
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.NAME
    }
    own = {name for name in used if re.match(rf"{old.camel}(?![a-z])", name)}
    for name in sorted(own):
        class_name = new.camel + name.removeprefix(old.camel)
        taken = class_name in used - own or keyword.iskeyword(class_name) or hasattr(builtins, class_name)
        if taken:
            raise ConfigError(
                f"'{new.kebab}' would be a class {class_name}, which is something else in Python or the example: "
                "choose another name"
            )
