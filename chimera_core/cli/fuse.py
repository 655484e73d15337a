"""``chimera fuse``: photographs or class names in, creatures out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._creature_files import (
    FORMAT_NAMES,
    CreatureFile,
    check_creature_file,
    files_in_the_way,
)
from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json
from chimera_core.cli._pictures import fetch_pictures, visibility_cache
from chimera_core.cli._progress import progress
from chimera_core.cli.parsing.command import ComponentCommand, Selector, component_values
from chimera_core.cli.parsing.config_file import config_option
from chimera_core.cli.parsing.options import WEIGHTS
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line, refuse_inputs
from chimera_core.fusing.backgrounds import BACKGROUNDS
from chimera_core.fusing.incoming import take_in
from chimera_core.fusing.request import (
    DEFAULT_PHOTO_FUSER,
    DEFAULT_SIZE,
    MAX_SEED,
    MIN_SIZE,
    FusionRequest,
    check_request,
)
from chimera_core.fusing.weights import check_weights, sweep_weights, triangle_weights

if TYPE_CHECKING:
    from chimera_core.fusing.fusion import Fusion


@click.command(
    cls=ComponentCommand,
    selectors=[
        Selector(
            "fuser",
            "fusion-generator",
            "--fuser",
            default=DEFAULT_PHOTO_FUSER,
            preset_flag="--preset",
            may_be_trained=True,
        ),
        Selector("source", "dataset-source", "--source", prefix="source."),
    ],
)
@click.argument("parents", nargs=-1, metavar="A B [C ...]")
@click.option(
    "--fuser",
    default=None,
    help="A run, an exported file, a model or a component.  [default: the model that knows the classes, "
    f"or {DEFAULT_PHOTO_FUSER}]",
)
@click.option("--preset", help="A preset of the fuser: see `chimera plugins show NAME`.")
@click.option(
    "--weights", type=WEIGHTS, help="How much of each parent, e.g. .7,.3 or 70%,30%.  [default: equal]"
)
@click.option(
    "--n", "count", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many creatures."
)
@click.option(
    "--sweep",
    type=click.IntRange(2, 100),
    help="N weights from the first parent to the others: a strip, or a .gif or .mp4.",
)
@click.option(
    "--triangle",
    type=click.IntRange(2, 20),
    help="All weights of three parents, N along each edge, as one picture.",
)
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="First seed.")
@click.option(
    "--size",
    type=int,
    help=f"Shorter side of the picture in pixels.  [default: {DEFAULT_SIZE}; a trained fuser's own size]",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    help="Where the animal is, one per parent in their order: an image (white = animal), auto or none.",
)
@click.option("--source", help="Data set in which class names find their images; its options are --source.*.")
@click.option(
    "--fetch",
    is_flag=True,
    help="Fetch pictures of names that are found nowhere, from iNaturalist into your library; and what an exported "
    "fuser asks for.",
)
@click.option(
    "--background",
    type=click.Choice(BACKGROUNDS),
    default="keep",
    show_default=True,
    help="keep: the first parent's; a cut-out has none. white, transparent: the creature alone.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "-o",
    "--output",
    default="chimera.png",
    show_default=True,
    help="A .png, .jpg, .webp or .tif; with --sweep also a .gif or .mp4. - is the standard output.",
)
@click.option(
    "--format", type=click.Choice(FORMAT_NAMES), help="What goes to the standard output.  [default: png]"
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    help="Of .jpg (95) and .webp (92); 100 keeps every pixel of a .webp.",
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def fuse(
    ctx: click.Context,
    parents: tuple[str, ...],
    fuser: str | None,
    preset: str | None,
    weights: tuple[float, ...] | None,
    count: int,
    sweep: int | None,
    triangle: int | None,
    seed: int,
    size: int | None,
    masks: tuple[str, ...],
    source: str | None,
    fetch: bool,
    background: str,
    device: str,
    output: str,
    format: str | None,
    quality: int | None,
    config: str | None,
    as_json: bool,
) -> None:
    """Fuse parents into one creature.

    A, B, ... are image files (- reads one from a pipe), addresses (https://...), classes that a trained fuser knows,
    names of pictures in your library or of a collection on this machine (`chimera library list`) or classes of a data
    set (--source). Photographs go to the fuser that suits what they hold: the first one's body with the second one's
    head, and a third one's coat; where no head or no body is in sight, the first one's shape in the others' coat.
    """
    start = time.perf_counter()
    let_waiting_threads_sleep()
    target = check_creature_file(
        output,
        format,
        quality,
        is_sweep=bool(sweep),
        count=count,
        is_transparent=background == "transparent" and not (sweep or triangle),
        side=(sweep or triangle or 1) * (size or MIN_SIZE),
    )
    if as_json and target.path is None:
        raise ConfigError("--json and -o - both want the standard output: name a file, or leave out --json")
    # The rest of the command happens while these are open.
    target = ctx.with_resource(target.opened())
    files = target.numbered(count)
    asked = [
        name for name, is_on in (("--sweep", sweep), ("--triangle", triangle), ("--n", count > 1)) if is_on
    ]
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)} cannot go together: leave one out")
    if triangle and len(parents) != 3:
        raise ConfigError(f"--triangle is for three parents, not {len(parents)}: name three, or take --sweep")
    if triangle and weights:
        raise ConfigError("--triangle takes all weights: leave out --weights")
    checked = check_weights(weights, max(2, len(parents)), remark=lambda line: print(line, file=sys.stderr))
    steps: Sequence[Sequence[float]] = [checked]
    if sweep:
        steps = sweep_weights(checked, sweep)
    elif triangle:
        steps = [weights for row in triangle_weights(triangle) for weights in row]
    host = plugin_host(ctx)
    incoming = ctx.with_resource(
        take_in(
            parents,
            stdin=getattr(sys.stdin, "buffer", None),
            remark=lambda line: print(one_line(line), file=sys.stderr),
        )
    )
    request = check_request(
        incoming.names,
        steps,
        seed=seed,
        count=count,
        size=size,
        fuser=fuser,
        preset=preset,
        options=component_values(ctx, "fuser"),
        masks=masks,
        source=source,
        source_options=component_values(ctx, "source"),
        device=device,
        background=background,
        fetch=(lambda name: fetch_pictures(name, host)) if fetch else None,
        visibility=visibility_cache(host),
        originals=incoming.originals,
        host=host,
    )
    refuse_inputs(files_in_the_way(files), request.inputs())
    if request.is_chosen:
        print(one_line(f"fuser: {request.fuser.trained}"), file=sys.stderr)
    pictures = [picture for picture in request.pictures if picture is not None]
    for picture in pictures:
        print(one_line(picture), file=sys.stderr)
    if sweep:
        fusion = _write_sweep(request, target)
    elif triangle:
        fusion = _write_triangle(request, triangle, target)
    else:
        fusion = _write_creatures(request, files)
    written = files_in_the_way(files)
    if as_json:
        print_json(
            {
                "images": [str(p) for p in written],
                "fuser": fusion.fuser_name,
                "parents": list(request.named),
                "pictures": [picture.as_json(with_folder=True) for picture in pictures],
                "weights": list(checked),
                "seed": seed,
                "device": str(fusion.device),
                "wall_s": round(time.perf_counter() - start, 3),
                "saw": fusion.findings(seed),
            }
        )
    else:
        for file in written:
            click.echo(str(file))
        print(f"{time.perf_counter() - start:.1f} s on {fusion.device}", file=sys.stderr)


def _write_creatures(request: FusionRequest, files: Sequence[CreatureFile]) -> Fusion:
    from chimera_core.images.pixels import to_uint8

    fusion, weights = _open(request), request.weights[0]
    with progress("fusing") as report:
        made = fusion.make(weights, request.seeds, progress=report, opacity=True)
    if made.shape[1] == 4 and not files[0].form.has_alpha:
        print(f"{files[0].form.name} keeps no transparency: the creature stands on white", file=sys.stderr)
    for file, image, seed in zip(files, made, request.seeds, strict=True):
        file.write(to_uint8(image), fusion.text(weights, seed))
    return fusion


def _write_sweep(request: FusionRequest, file: CreatureFile) -> Fusion:
    from chimera_core.images.sheet import grid

    frames, text, fusion = _frames(request)
    if file.form.moves:
        if line := file.write_moving(frames, text):
            print(line, file=sys.stderr)
    else:
        captions = [" / ".join(f"{weight:.0%}" for weight in weights) for weights in request.weights]
        file.write(grid([frames], captions=[captions]), text)
    return fusion


def _write_triangle(request: FusionRequest, side: int, file: CreatureFile) -> Fusion:
    from chimera_core.images.sheet import grid

    frames, text, fusion = _frames(request)
    # Without units: three of them would not fit below 64 pixels.
    said = [" ".join(f"{100 * weight:.0f}" for weight in weights) for weights in request.weights]
    rows = [slice(k * (k + 1) // 2, (k + 1) * (k + 2) // 2) for k in range(side)]
    tiles, captions = [frames[row] for row in rows], [said[row] for row in rows]
    file.write(grid(tiles, captions=captions, centred=True), text)
    return fusion


def _frames(request: FusionRequest) -> tuple[list[Any], dict[str, str], Fusion]:
    """Make a creature of each weights: uint8 (H, W, 3), what the file says of them, and what made them."""
    from chimera_core.fusing.sweeps import sweep_frames

    fusion = _open(request)
    with progress("fusing", parts=len(request.weights)) as report:
        frames, text = sweep_frames(fusion, progress=report)
    return frames, text, fusion


def _open(request: FusionRequest) -> Fusion:
    """Load fuser and parents; what the fuser remarks goes to stderr."""
    from chimera_core.fusing.fusion import Fusion

    fusion = Fusion(request)
    fusion.fuser.remark = lambda line: print(one_line(line), file=sys.stderr)
    return fusion
