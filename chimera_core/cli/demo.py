"""``chimera demo``: one creature out of two photographs that come with the install. No network, no argument."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._progress import progress
from chimera_core.cli.parsing.config_file import ConfigCommand, config_option, file_component
from chimera_core.errors import DataError
from chimera_core.files.atomic import quote

if TYPE_CHECKING:
    from chimera_core.plugins.discovery import PluginHost

DEFAULT_FOLDER = "chimera-demo"
# The creature is made at this size; the row of weights, for speed, at the smaller one.
CREATURE_SIZE, GRID_SIZE = 384, 192
GRID_FRAMES = 5
WEIGHTS = (0.5, 0.5)

NAMES = ("astronaut", "cat")

# By names alone: the generator that comes along.
GENERATOR, ENDS, BETWEEN = "faces-128", ("person", "cat"), "person-cat.png"
GENERATOR_SIZE, GENERATOR_FRAMES, GENERATOR_ROWS = 128, 7, 3


@click.command(cls=ConfigCommand, components=["fuser"])
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Folder of the pictures.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the creatures."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@config_option
@click.pass_context
def demo(ctx: click.Context, folder: Path, seed: int, device: str, config: str | None) -> None:
    """Make one creature, a grid of weights, and rows from person to cat, offline, into a folder."""
    let_waiting_threads_sleep()
    from chimera_core.fusing.fusion import Fusion
    from chimera_core.fusing.request import DEFAULT_PHOTO_FUSER, check_request
    from chimera_core.images import write_png
    from chimera_core.images.pixels import resize_shorter, to_uint8
    from chimera_core.images.sheet import grid
    from chimera_core.library.collections import ShippedPictures
    from chimera_core.runs.record import work_in, write_run_config, write_run_record

    start = time.perf_counter()
    host = plugin_host(ctx)
    chosen = file_component(ctx, "fuser", "fusion-generator", default=DEFAULT_PHOTO_FUSER)
    fuser, options, preset = chosen.name, chosen.options, chosen.preset
    ctx.with_resource(work_in(folder, work="made"))
    steps = [(1 - w, w) for w in (k / (GRID_FRAMES - 1) for k in range(GRID_FRAMES))]
    row: list[Any] = []
    with (
        progress("making the creature", parts=1 + len(steps)) as report,
    ):
        # Of scikit-image alone: a user's library may have another cat.
        shipped = ShippedPictures()
        pictures = shipped.pictures()
        if missing := [name for name in NAMES if name not in pictures]:
            raise DataError(
                f"scikit-image's picture {quote(missing[0])} is not there: install scikit-image again"
            )
        parents = [pictures[name][0] for name in NAMES]
        masks = [str(shipped.mask(parent) or "auto") for parent in parents]

        def open_fusion(weights: list[tuple[float, float]], size: int) -> Fusion:
            return Fusion(
                check_request(
                    parents,
                    weights,
                    seed=seed,
                    size=size,
                    fuser=fuser,
                    preset=preset,
                    options=options,
                    masks=masks,
                    device=device,
                    host=host,
                )
            )

        fusion = open_fusion([WEIGHTS], CREATURE_SIZE)
        creature = fusion.make(WEIGHTS, [seed], progress=report)[0]
        small = open_fusion(steps, GRID_SIZE)
        for weights in steps:
            row.append(to_uint8(small.make(weights, [seed], progress=report)[0]))
    ends = [to_uint8(resize_shorter(p.image, GRID_SIZE)) for p in small.parents(seed) if p.image is not None]
    captions = [NAMES[0], *(_caption(w) for w in steps), NAMES[1]]
    sheet = grid(
        [[ends[0], *row, ends[1]]],
        captions=[captions],
        column_titles=["parent", *[""] * len(steps), "parent"],
    )
    write_png(folder / "chimera.png", to_uint8(creature), text=fusion.text(WEIGHTS, seed))
    write_png(folder / "grid.png", sheet)
    written = ["chimera.png", "grid.png"]
    if draw_between(folder / BETWEEN, host, seed=seed, device=device):
        written.append(BETWEEN)
    write_run_config(
        folder,
        "demo",
        seed=seed,
        device=device,
        fuser=fusion.request.fuser.as_table(),
    )
    write_run_record(
        folder,
        host,
        status="done",
        seed=seed,
        device=str(fusion.device),
        fuser=fusion.fuser_name,
        parents=list(NAMES),
        options=options,
        wall_s=round(time.perf_counter() - start, 2),
    )
    for name in (*written, "config.toml", "run.json"):
        click.echo(str(folder / name))


def draw_between(path: Path, host: PluginHost, *, seed: int, device: str) -> bool:
    """Draw creatures from person to cat by the generator that comes along; say whether there is one.

    Args:
        seed: of the first row.
    """
    from chimera_core.fusing.fusion import Fusion
    from chimera_core.fusing.request import check_request
    from chimera_core.fusing.weights import sweep_weights
    from chimera_core.images import write_png
    from chimera_core.images.pixels import to_uint8
    from chimera_core.images.sheet import grid

    if GENERATOR not in host.registry.models or not host.has("fusion-generator", "gan"):
        return False
    steps = sweep_weights(WEIGHTS, GENERATOR_FRAMES)
    request = check_request(ENDS, steps, size=GENERATOR_SIZE, fuser=GENERATOR, device=device, host=host)
    fusion = Fusion(request)
    rows = [[to_uint8(fusion.make(w, [seed + k])[0]) for w in steps] for k in range(GENERATOR_ROWS)]
    titles = [ENDS[0], *[""] * (len(steps) - 2), ENDS[1]]
    write_png(path, grid(rows, column_titles=titles))
    return True


def _caption(weights: tuple[float, ...]) -> str:
    return " + ".join(f"{w:.0%} {name}" for name, w in zip(NAMES, weights, strict=True) if w > 0)
