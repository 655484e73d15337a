"""``chimera score``: measure chimeras, those that are there or those that a fuser makes."""

from __future__ import annotations

from typing import Any

import click

from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._pictures import visibility_cache
from chimera_core.cli._progress import progress
from chimera_core.cli.parsing.command import ComponentCommand, Selector, component_values
from chimera_core.cli.parsing.options import WEIGHTS
from chimera_core.files.atomic import one_line

_COLUMNS = ("leakage", "weight_error", "novelty", "realism", "fused", "score")


@click.command(
    cls=ComponentCommand, selectors=[Selector("source", "dataset-source", "--source", prefix="source.")]
)
@click.argument("targets", nargs=-1, required=True, metavar="RUN|IMAGES...")
@click.option("--parents", nargs=2, metavar="A B", help="Photographs, or classes that --source knows.")
@click.option("--parent", "more", multiple=True, help="A third parent, and a fourth ...")
@click.option(
    "--weights",
    type=WEIGHTS,
    multiple=True,
    help="Requested weights, e.g. .7,.3; a fuser takes several.  [default: what the picture's own text gives, else equal]",
)
@click.option("--source", help="Data set in which classes find their images; its options are --source.*.")
@click.option(
    "--split",
    help="Split whose images stand for the classes, e.g. test: images that a run never saw.  [default: the one to learn from]",
)
@click.option(
    "--reference",
    type=click.Path(),
    help="Folder of animals of many kinds.  [default: what comes along, for the included judges]",
)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    help="A run, model or encoder, never the fuser's own; the first gives the figures.  [default: the strongest here]",
)
@click.option(
    "--metric", "metrics", multiple=True, help="Also measure by this metric of a plugin; repeatable."
)
@click.option("--preset", help="A preset of the fuser.")
@click.option(
    "--n",
    "count",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    help="Number of chimeras a fuser makes for each set of weights.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="First seed.")
@click.option(
    "--size",
    type=click.IntRange(16, 512),
    default=64,
    show_default=True,
    help="Side length at which images are scored, in pixels.",
)
@click.option("--fuse-size", type=int, help="Resolution the fuser generates at.  [default: its own, or 256]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def score(
    ctx: click.Context,
    targets: tuple[str, ...],
    parents: tuple[str, str] | None,
    more: tuple[str, ...],
    weights: tuple[tuple[float, ...], ...],
    source: str | None,
    split: str | None,
    reference: str | None,
    judges: tuple[str, ...],
    metrics: tuple[str, ...],
    preset: str | None,
    count: int,
    seed: int,
    size: int,
    fuse_size: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Score chimeras: pictures, folders of them, or what a run, model or fuser makes.

    "The scorecard" in the documentation defines every figure, and its limits.
    """
    let_waiting_threads_sleep()
    from chimera_core.scoring.plan import plan_score

    host = plugin_host(ctx)
    plan = plan_score(
        targets,
        parents=(*(parents or ()), *more),
        weights=weights,
        judges=judges,
        metrics=metrics,
        reference=reference,
        source=source,
        source_options=component_values(ctx, "source"),
        split=split,
        preset=preset,
        count=count,
        seed=seed,
        size=size,
        fuse_size=fuse_size,
        device=device,
        visibility=visibility_cache(host),
        host=host,
    )
    from chimera_core.scoring.command import score as score_plan

    with progress("scoring") as report:
        found = score_plan(plan, progress=report)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    labels = [parent["label"] for parent in found["parents"]]
    extra = [name for name in found["images"][0]["metrics"] if "[" in name or ":" in name]
    columns = ("image", "weights", *(f"m {one_line(name, limit=20)}" for name in labels), *_COLUMNS, *extra)
    names = [f"membership_{k}" for k in range(len(labels))] + [*_COLUMNS, *extra]
    rows = [
        (
            one_line(row["image"] or f"seed {row['seed']}", limit=40),
            " ".join(f"{w:.2f}" for w in row["weights"]),
            *(_figure(row["metrics"][name]) for name in names),
        )
        for row in found["images"]
    ]
    if len(rows) > 1:
        rows.append(
            ("mean", "", *(_mean([row["metrics"][name] for row in found["images"]]) for name in names))
        )
    print_table(columns, rows)
    together = found["set"].items()
    print_table(
        ("all together", "value", "n", "remark"),
        [(name, _figure(f), str(f["n"]), f["reason"] or "") for name, f in together],
    )
    judge, reference = found["judges"][0], found["reference"]
    click.echo(
        f"at {found['size']} px by {judge['name']} ({judge['resize']}); probe right on "
        f"{found['probe']['accuracy']:.1%} of held-out views; "
        + (f"reference {reference['name']}: {reference['n']} images" if reference else "no reference")
    )
    missing = {f["reason"] for row in found["images"] for f in row["metrics"].values() if f["value"] is None}
    for reason in sorted(missing):
        click.echo(f"n/a: {reason}")


def _figure(figure: dict[str, Any]) -> str:
    return "n/a" if figure["value"] is None else f"{figure['value']:.3f}"


def _mean(figures: list[dict[str, Any]]) -> str:
    values = [f["value"] for f in figures if f["value"] is not None]
    return f"{sum(values) / len(values):.3f}" if values else "n/a"
