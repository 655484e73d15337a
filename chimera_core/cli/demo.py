"""``chimera demo``: one creature out of two photographs that come with the install. No network, no argument."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._progress import progress

DEFAULT_FOLDER = "chimera-demo"
# The creature is made at this size; the row of weights, for speed, at the smaller one.
CREATURE_SIZE, GRID_SIZE = 256, 160
GRID_FRAMES = 5


@click.command()
@click.option("--run", "folder", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.pass_context
def demo(ctx: click.Context, folder: Path, seed: int, device: str) -> None:
    """Make one creature and a grid of weights, offline, into a folder."""
    from chimera_core.fusing import Fusion, plan_fusion, sweep_weights
    from chimera_core.images import grid, write_png
    from chimera_core.pixels import resize_shorter, to_uint8
    from chimera_core.runs import make_run_folder, write_run_record

    start = time.perf_counter()
    host = plugin_host(ctx)
    names, files = zip(*demo_photographs(), strict=True)
    make_run_folder(folder)
    plan = plan_fusion(files, size=CREATURE_SIZE, device=device, host=host)
    small = plan_fusion(files, size=GRID_SIZE, device=device, host=host)
    steps = sweep_weights((0.5, 0.5), GRID_FRAMES)
    with progress("making the creature", parts=1 + len(steps)) as report:
        fusion = Fusion(plan)
        creature = fusion.make((0.5, 0.5), [seed], progress=report)[0]
        report(1, 1)
        fusion_small = Fusion(small)
        row: list[Any] = []
        for weights in steps:
            row.append(to_uint8(fusion_small.make(weights, [seed], progress=report)[0]))
            report(1, 1)
    layout, coat = (
        to_uint8(resize_shorter(p.image, GRID_SIZE)) for p in fusion.parents(seed) if p.image is not None
    )
    titles = [names[0], *(_caption(names, w) for w in steps), names[1]]
    sheet = grid(
        [[layout, *row, coat]], captions=[titles], column_titles=["parent", *[""] * len(steps), "parent"]
    )
    write_png(folder / "chimera.png", to_uint8(creature), text=fusion.text((0.5, 0.5), seed))
    write_png(folder / "grid.png", sheet)
    wall_s = round(time.perf_counter() - start, 2)
    write_run_record(
        folder,
        host,
        status="done",
        seed=seed,
        device=str(fusion.device),
        fuser=plan.fuser_name,
        parents=[Path(f).name for f in files],
        wall_s=wall_s,
    )
    for name in ("chimera.png", "grid.png", "run.json"):
        click.echo(str(folder / name))


def demo_photographs() -> list[tuple[str, str]]:
    """Find two free photographs in scikit-image's wheel: (name, file), layout first."""
    import importlib.util

    spec = importlib.util.find_spec("skimage")
    root = Path(str(spec.origin)).parent / "data" if spec else Path()
    return [("cat", str(root / "chelsea.png")), ("astronaut", str(root / "astronaut.png"))]


def _caption(names: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return " + ".join(f"{w:.0%} {name}" for name, w in zip(names, weights, strict=True) if w > 0)
