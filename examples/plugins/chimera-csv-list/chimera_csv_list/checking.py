"""Data on which ``chimera plugins check`` and the tests try the source."""

from pathlib import Path

from chimera_core.testing import write_shapes


def prepare(folder: Path) -> dict[str, str]:
    """Write drawn images and the table of them, and give the options that read it."""
    lines = ["file,class,split"]
    for file in sorted(write_shapes(folder).glob("*/*/*.png")):
        split, kind, _ = file.relative_to(folder).parts
        lines.append(f"{file.relative_to(folder).as_posix()},{kind},{split}")
    (folder / "images.csv").write_text("\n".join(lines), encoding="utf-8")
    return {"root": str(folder)}
