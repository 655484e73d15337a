"""Whatever writes or removes files does so through ``files`` and ``own_folders``, which follow no link out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
OPENERS = {"chimera_core/files/atomic.py", "chimera_core/files/own_folders.py"}
TEMPORARY = {"atomic_path", "TemporaryDirectory", "BytesIO", "StringIO"}
"""What gives a place that nobody else has named."""
METHODS = {
    "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch", "rename", "symlink_to", "hardlink_to", "savefig",
    "save", "save_file", "tofile", "to_csv", "dump",
}  # fmt: skip
FUNCTIONS = {
    "os": {"replace", "rename", "unlink", "remove", "rmdir", "mkdir", "makedirs", "open", "link", "symlink", "truncate", "chmod"},
    "shutil": {"rmtree", "copyfile", "copy", "copy2", "copytree", "move"},
    "np": {"save", "savez", "savetxt", "open_memmap"},
    "cv2": {"imwrite"},
}  # fmt: skip
NAMES = {"SummaryWriter", "FileHandler", "RotatingFileHandler", "NamedTemporaryFile", "mkstemp"}
EXCUSED = {
    ("chimera_core/report/page.py", "_write_page"): "its path is one of three that atomic_path gave",
    (
        "plugins/chimera_trackers/tensorboard.py",
        "__init__",
    ): "into a folder of make_folder, names by the clock",
    (
        "chimera_core/library/folder.py",
        "remove",
    ): "rmdir takes empty folders only, found without following links",
    ("chimera_core/files/text.py", "_open"): "it reads: open alone chooses the flags, which are those of rb",
    ("chimera_core/cli/root.py", "run"): "os.devnull",
    ("chimera_core/cli/_streams.py", "prepare_streams"): "os.devnull",
    ("chimera_core/cli/_streams.py", "_give_up"): "os.devnull",
    ("chimera_core/cli/_streams.py", "_cleaned"): "a number that is open already",
    (
        "chimera_core/cli/_training_run.py",
        "take_folder",
    ): "mkdir alone says at once whether a name is free; it follows no link",
    ("chimera_core/files/locks.py", "hold"): "it refuses links, and removes its own name",
    ("chimera_core/files/locks.py", "_take"): "names that nobody else has chosen; removing follows no link",
    (
        "chimera_core/files/locks.py",
        "_put",
    ): "makes a new name, or none: at once and whole, which atomic_path does not promise",
    (
        "chimera_core/studio/private_folder.py",
        "make_private_folder",
    ): "mkdir alone makes it nobody else's from the first moment, and refuses what is there",
    ("chimera_core/runs/record.py", "work_in"): "removes locks of a run that never began, and empty folders",
}


def sources() -> Iterator[Path]:
    for folder in (REPOSITORY / "chimera_core", REPOSITORY / "plugins"):
        for file in sorted(folder.rglob("*.py")):
            if "testing" not in file.parts:
                yield file


def writes(call: ast.Call, safe: set[str]) -> bool:
    """Say whether a call writes or removes a file at a place that no opener gave."""
    target = call.func
    given = {n.id for a in call.args[:2] for n in ast.walk(a) if isinstance(n, ast.Name)}
    if isinstance(target, ast.Name):
        mode = next(
            (k.value for k in call.keywords if k.arg == "mode"), call.args[1] if len(call.args) > 1 else None
        )
        if target.id == "open" and mode is not None:
            text = ast.unparse(mode)
            return any(letter in text for letter in "wax+") and not given & safe
        return target.id in NAMES
    if not isinstance(target, ast.Attribute):
        return False
    owner = ast.unparse(target.value).split(".")[0]
    if target.attr in FUNCTIONS.get(owner, ()) or target.attr in NAMES or target.attr == "open_memmap":
        return not given & safe
    if target.attr == "save_file":
        return True  # safetensors writes into a file of its own beside, which stays when it is killed
    if owner in ("json", "yaml", "hashlib") or ast.unparse(target) == "safetensors.torch.save":  # gives bytes
        return False
    return target.attr in METHODS and not (given | {owner}) & safe


def safe_names(tree: ast.AST) -> set[str]:
    """Names that an opener, a temporary folder or memory gave."""
    found: set[str] = set()
    for node in ast.walk(tree):
        pairs = []
        if isinstance(node, ast.withitem) and node.optional_vars is not None:
            pairs = [(node.context_expr, node.optional_vars)]
        elif isinstance(node, ast.Assign):
            pairs = [(node.value, target) for target in node.targets]
        for value, target in pairs:
            called = {
                c.func.attr if isinstance(c.func, ast.Attribute) else getattr(c.func, "id", "")
                for c in ast.walk(value)
                if isinstance(c, ast.Call)
            }
            if called & TEMPORARY:
                found |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return found


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions and methods; those within others belong to them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node
        else:
            yield from functions_of(node)


def bypasses(file: Path, text: str) -> Iterator[tuple[str, str, int]]:
    tree = ast.parse(text)
    for function in functions_of(tree):
        safe = safe_names(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and writes(node, safe):
                yield str(file), function.name, node.lineno


@pytest.mark.slow
def test_every_writer_goes_through_an_opener_that_follows_no_link_out() -> None:
    met = set()
    for file in sources():
        name = file.relative_to(REPOSITORY).as_posix()
        if name in OPENERS:
            continue
        for _, function, line in bypasses(file, file.read_text(encoding="utf-8")):
            met.add((name, function))
            assert (name, function) in EXCUSED, (
                f"{name}:{line} writes by itself: use atomic_path, open_own, make_folder, remove_file, remove_tree or move"
            )
    assert met == set(EXCUSED), "an excuse that nothing needs any more"


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "path.write_text('')",
        "(folder / 'a').unlink()",
        "os.replace(a, b)",
        "shutil.rmtree(folder)",
        "np.save(path, array)",
        "figure.savefig(path)",
        "safetensors.torch.save_file(tensors, path)",
        "logging.FileHandler(path)",
        "folder.mkdir(parents=True)",
        "image.save(path)",
    ],
)
def test_a_writer_of_its_own_is_noticed(line: str) -> None:
    assert list(bypasses(Path("x.py"), f"def work(path):\n    {line}\n")) == [("x.py", "work", 2)]


def test_what_an_opener_gave_may_be_written() -> None:
    text = "def work(path):\n    with atomic_path(path) as temporary:\n        figure.savefig(temporary)\n"
    assert list(bypasses(Path("x.py"), text)) == []


def test_what_writes_beside_the_place_that_an_opener_gave_is_noticed() -> None:
    text = "def work(path):\n    with atomic_path(path) as half:\n        safetensors.torch.save_file(state, half)\n"
    assert list(bypasses(Path("x.py"), text)) == [("x.py", "work", 3)]
