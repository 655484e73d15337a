"""Which source files a module imports, read from the files themselves: nothing is imported to find out. Torch-free.

Imports inside functions count, those for type checkers do not. A name of a lazy face (``chimera_core.api``) stands for
the module that it is taken from, so that a plugin depends on what it uses of the API and not on all of it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chimera_core.plugins.discovery import Component, PluginHost

_CORE = "chimera_core"
_DIGITS = 24
# Each begins with letters that are searched for at once: a hundred files are read in some hundredths of a second.
_FOR_TYPE_CHECKERS = re.compile(r"\nif (?:typing\.)?TYPE_CHECKING:[^\n]*(?:\n[ \t]+[^\n]*|\n[ \t]*(?=\n))+")
_FACE = re.compile(r"\ndef __getattr__\(")
_IMPORT = re.compile(r"import\b[ \t]*(?:\([^)]*\)|[^\n;]*)")
_BEFORE_IMPORT = re.compile(r"(?:^|[:;])[ \t]*((?:from[ \t]+[.\w]+[ \t]+)?)$")
_COMPONENTS = [re.compile(rf"{quote}([a-z0-9-]+:[a-z0-9-]+){quote}") for quote in "'\""]
_WEIGHTS = re.compile(r"[\"']([\w-]+\.safetensors)[\"']")


@dataclass(frozen=True)
class Closure:
    """What a module imports, itself included.

    Args:
        files: source files, and the weights beside them that they name.
        components: ``plugin:name`` of the components that the code names, for it loads these by name.
    """

    files: frozenset[Path]
    components: frozenset[str]


@dataclass(frozen=True)
class _Source:
    """One file: its imports as (module, name), where an empty name means the module itself."""

    imports: tuple[tuple[str, str], ...]
    offers: Mapping[str, tuple[str, str]]
    components: tuple[str, ...]
    weights: tuple[Path, ...]
    is_face: bool


@functools.cache
def closure_of(*modules: str) -> Closure:
    """Follow the imports of modules within the core and their own packages.

    Args:
        modules: dotted names; one that cannot be found adds nothing.
    """
    packages = {_CORE, *map(_package, modules)}
    found: dict[str, Path] = {}
    components: set[str] = set()
    files: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in found or _package(module) not in packages or (path := find_source(module)) is None:
            continue
        found[module] = path
        source = _read(path, module if path.name == "__init__.py" else module.rpartition(".")[0])
        files |= {path, *source.weights}
        components |= set(source.components)
        for imported, name in source.imports:
            if _package(imported) in packages:
                waiting += _modules_of(imported, name)
        waiting += [p for p in _packages_above(module) if not _is_face(p)]
    return Closure(frozenset(files), frozenset(components))


def code_of(host: PluginHost, *modules: str) -> str:
    """Hash the source of modules, of all that they import, and of the components that they load by name."""
    by_name = {c.full_name: module_of(c) for c in host.components()}
    files: set[Path] = set()
    waiting, met = list(modules), set(modules)
    while waiting:
        closure = closure_of(waiting.pop())
        files |= closure.files
        loaded = {by_name[name] for name in closure.components if name in by_name} - met
        waiting += loaded
        met |= loaded
    return hash_files(files)


def module_of(component: Component) -> str:
    """Name the module that a component's class lies in."""
    return component.spec.target.partition(":")[0]


def hash_files(paths: Iterable[Path]) -> str:
    """Hash what files hold, and their names; where they lie does not count. 24 hexadecimal digits."""
    whole = hashlib.sha256()
    for name, digest in sorted((path.name, _digest(path)) for path in set(paths)):
        whole.update(name.encode() + b"\0" + digest)
    return whole.hexdigest()[:_DIGITS]


@functools.cache
def find_source(module: str) -> Path | None:
    """Find the file of a module without importing it; None where there is none to be read."""
    package, _, rest = module.partition(".")
    for folder in _folders(package):
        path = folder.joinpath(*rest.split(".")) if rest else folder
        for file in (path / "__init__.py", path.with_name(path.name + ".py")):
            if file.is_file():
                return file
    return None


@functools.cache
def _folders(package: str) -> tuple[Path, ...]:
    """Find the folders of a package; of a single module the path without its suffix."""
    found = importlib.util.find_spec(package)
    if found is None:
        return ()
    if found.submodule_search_locations:
        return tuple(Path(place) for place in found.submodule_search_locations)
    return (Path(found.origin).with_suffix(""),) if found.origin else ()


def _package(module: str) -> str:
    return module.partition(".")[0]


def _packages_above(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _modules_of(module: str, name: str) -> list[str]:
    """Return which modules ``from module import name`` needs."""
    if name and find_source(f"{module}.{name}"):
        return [f"{module}.{name}"]
    path = find_source(module)
    if path is None or name.startswith("__"):  # the version decides nothing
        return []
    source = _read(path, module if path.name == "__init__.py" else module.rpartition(".")[0])
    if not source.is_face:
        return [module]
    if not name:
        return [module, *(m for offered in source.offers.values() for m in _modules_of(*offered))]
    return _modules_of(*source.offers[name]) if name in source.offers else [module]


def _is_face(module: str) -> bool:
    path = find_source(module)
    return path is not None and _read(path, module).is_face


@functools.cache
def _read(path: Path, package: str) -> _Source:
    text = path.read_text(encoding="utf-8", errors="replace")
    is_face = bool(_FACE.search(text))
    imports = tuple(_imports(text if is_face else _FOR_TYPE_CHECKERS.sub("", text), package))
    offers = {name: (module, name) for module, name in imports if name} if is_face else {}
    named = _WEIGHTS.findall(text) if ".safetensors" in text else []
    beside = (path.parent / "weights" / name for name in named)
    return _Source(
        () if is_face else imports,
        offers,
        tuple(name for pattern in _COMPONENTS for name in pattern.findall(text)),
        tuple(file for file in beside if file.is_file()),
        is_face,
    )


def _imports(text: str, package: str) -> Iterator[tuple[str, str]]:
    """List what is imported anywhere in a file: (module, name), with an empty name for ``import module``."""
    try:
        nodes: list[ast.AST] = [node for line in _import_lines(text) for node in ast.parse(line).body]
    except SyntaxError:  # of prose that looks like one, or a bracket in a comment
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except SyntaxError:  # whoever imports it will say so
            return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from ((module, alias.name) for alias in node.names)


def _import_lines(text: str) -> Iterator[str]:
    """Cut the import statements out of a file: parsing all of it would take ten times as long."""
    for found in _IMPORT.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if (before := _BEFORE_IMPORT.search(line)) is not None:
            yield before[1] + found[0]


@functools.cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
