"""What the columns of a comparison mean: its tables, CSV files and figures; legends and docs are made from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chimera_core.report.record import PluginMetric

HIGHER, LOWER, NEITHER = "higher", "lower", ""

RANKING: Mapping[str, str] = {
    "rank": "Place by the mean score. Two fusers are tied if the interval of their difference contains 0.",
    "fuser": "Name of the fuser in the experiment file. A control is a trivial method that a fuser must beat.",
    "score": "The headline metric with its interval; see the figures below.",
    "per image": "Mean time to make one creature in which every parent has a weight, without loading the fuser.",
    "training": "Time that the training of the fuser took; the page adds the number of its parameters.",
    "pairs × seeds": "Tuples of parents and seeds that the means are taken over.",
    "remarks": "Controls, ties and warnings.",
}
"""Columns of the ranking in the report; that of the headline metric bears its name."""

TESTS: Mapping[str, str] = {
    "first": "A fuser.",
    "second": "The fuser that it is compared with.",
    "difference": "Mean score of the first less that of the second, over the tuples of parents that both have.",
    "interval": "95 % bootstrap interval of the difference (BCa, tuples of parents resampled). If it contains 0, the two are tied.",
    "p": "Two-sided p value of Wilcoxon's signed-rank test over tuples of parents.",
    "p, Holm": "The same, corrected for the number of tests (Holm 1979): compare this one with 0.05.",
}
"""Columns of the pairwise tests in the report."""

SUMMARY_CSV: Mapping[str, str] = {
    "fuser": RANKING["fuser"],
    "rank": RANKING["rank"],
    "metric": "Name of the figure.",
    "mean": "Mean of the figure: first within each tuple of parents, then over tuples. Only creatures in which every "
    "parent has a weight count.",
    "low": "Lower end of the 95 % bootstrap interval of the mean (BCa, tuples resampled); empty with fewer than 5 tuples.",
    "high": "Upper end of that interval.",
    "pairs": "Number of tuples of parents with a creature of this fuser.",
    "seeds": "Number of seeds.",
}
RESULTS_CSV: Mapping[str, str] = {
    "cell": "Identifier of the creature; its picture is cells/CELL.png.",
    "fuser": RANKING["fuser"],
    "preset": "Preset of the fuser; empty if none was chosen.",
    "encoder": "Encoder that the fuser draws with; empty if it has none.",
    "trainer": "Trainer of that encoder, if the encoder is a run.",
    "parents": "Names of the parents, in order (JSON).",
    "weights": "Requested weights of the parents, in the same order (JSON).",
    "seed": "Seed of the creature.",
    "metric": "Name of the figure.",
    "value": "Its value; empty where it could not be measured.",
    "n": "Number of views or images behind the value.",
    "extractor": "Judge that measured it; pixels for figures that need no judge.",
    "status": "ok; failed: the creature was not made; n/a: the fuser does not make such creatures, or the figure cannot be measured.",
    "error": "Reason, unless the status is ok.",
}
AXES_CSV: Mapping[str, str] = {
    "table": "Table of the experiment file that the axis belongs to.",
    "axis": "Option that takes several values.",
    "metric": "Name of the figure.",
    "trainings": "Trainings per value, each with its own seed.",
    "value": "Value of the option; everything else is averaged over.",
    "mean": "Mean of the figure at this value.",
    "low": "Lower end of the 95 % bootstrap interval of the mean; of several trainings, these are resampled too.",
    "high": "Upper end of that interval.",
    "difference": "Mean less that of the axis's first value, paired by parents and training.",
    "difference_low": "Lower end of the 95 % interval of the difference.",
    "difference_high": "Upper end of that interval.",
    "p": "Two-sided p value of Wilcoxon's signed-rank test over tuples of parents.",
    "p_holm": "The same, corrected for the number of values (Holm 1979).",
}
FILES: Mapping[str, Mapping[str, str]] = {
    "summary.csv": SUMMARY_CSV,
    "results.csv": RESULTS_CSV,
    "axes.csv": AXES_CSV,
}
"""Columns of the tables beside the report, in their order; results.json has the keys of results.csv."""


@dataclass(frozen=True)
class Metric:
    """What a figure means, in a line, and which way is better: "higher", "lower" or "" (neither)."""

    name: str
    better: str
    meaning: str


def describe(name: str, others: Mapping[str, PluginMetric] = {}) -> Metric:
    """Look up what a figure means, by its name with index or judge (``membership_0``, ``KID[lite2]``).

    Args:
        name: of the figure.
        others: figures of plugins. One that is not known has no meaning: "".
    """
    if other := others.get(name):
        comes_with = f" (of {other.distribution})" if other.distribution else ""
        return Metric(name, other.better, f"{other.meaning}{comes_with}")
    stem = name.split("[")[0].rstrip("0123456789").rstrip("_")
    better, meaning = FIGURES.get(name) or FIGURES.get(stem, (NEITHER, ""))
    return Metric(name, better, meaning)


# In the order in which a reader wants them.
FIGURES: Mapping[str, tuple[str, str]] = {
    "score": (
        HIGHER,
        "The headline: square root of fused times realism, reduced by montage where unity is low. A copy of a parent gets 0.",
    ),
    "fused": (
        HIGHER,
        "Integrity times presence: 1 where every place of the creature comes from a parent and none is missing. Of classes it is "
        "kinship times unity times presence.",
    ),
    "kinship": (
        HIGHER,
        "How much of the creature comes from its parents at all: the sum of its likenesses to them, at most 1.",
    ),
    "integrity": (
        HIGHER,
        "How much of the creature its parents have place by place, wherever they have it: a whole head counts, half a head or a "
        "seam does not.",
    ),
    "unity": (
        HIGHER,
        "Whether it is one animal: 1 where all places (of classes: all views) show the same mix of parents, 0 where each shows "
        "another parent, as with pieces that were joined.",
    ),
    "presence": (
        HIGHER,
        "Whether no parent is missing: 1 where at least a fifth of each parent's weight is found, 0 for a copy of one parent.",
    ),
    "realism": (
        HIGHER,
        "Nearness of the textures to those of real animals: 0 for noise, 1 for held-out real animals.",
    ),
    "weight_error": (LOWER, "Half the sum of the absolute differences between membership and requested weight."),
    "leakage": (LOWER, "Probability that the probe gives to everything that is not a parent."),
    "balance": (HIGHER, "Smallest membership divided by the largest: 0 where one parent is alone, 1 where all have the same."),
    "novelty": (HIGHER, "1 less the cosine to the nearest image of a parent: 0 for a copy."),
    "diversity": (HIGHER, "Mean of 1 less the cosine between creatures of the same parents and weights, but other seeds."),
    "weight_slope": (
        NEITHER,
        "Slope of the memberships on the requested weights: 1 follows them exactly, 0 ignores them.",
    ),
    "probe_accuracy": (
        HIGHER,
        "Share of held-out views of the parents that the probe classifies correctly: how far memberships can be trusted.",
    ),
    "position_step_max": (LOWER, "Largest step along a sweep that is scaled to go from 0 to 1; a smooth sweep has small ones."),
    "middle_share": (HIGHER, "Share of the creatures of weights 0.5, 0.5 whose position in the sweep is between 0.25 and 0.75."),
    "KID": (
        LOWER,
        "Kernel distance between the creatures and real animals, by the features of the encoder in brackets; without "
        "brackets by Inception's.",
    ),
    "FD": (LOWER, "Fréchet distance between the creatures and real animals, by the features of the encoder in brackets."),
    "FID": (LOWER, "Fréchet distance between the creatures and real animals, by Inception's features."),
    "precision": (HIGHER, "Share of the creatures that lie within the manifold of real animals (k nearest neighbours, k = 3)."),
    "recall": (HIGHER, "Share of the real animals that lie within the manifold of the creatures (k = 3)."),
    "coat": (HIGHER, "How much of this parent's coat the creature wears, by textures: 0 to 1; photographs only."),
    "montage": (
        LOWER,
        "How much of the creature is the parents' own pixels, overlaid or pasted together. It lowers the score the more, the "
        "less unity there is.",
    ),
    "patch_distance": (NEITHER, "Fréchet distance between the patches of the creature and of this parent's picture."),
    "membership": (NEITHER, "Probability that the probe gives to this parent, as a share among the parents."),
    "likeness": (
        HIGHER,
        "Nearness to this parent: 0 where pictures of the other parents lie, 1 where its own views lie.",
    ),
    "identity": (HIGHER, "Cosine between the features of the creature and the mean of this parent's."),
    "log_odds": (NEITHER, "The probe's log-odds of the second parent against the first; unlike a probability it does not saturate."),
    "ignores-weights": (LOWER, "Warning: weight_slope is below 0.2."),
    "collapsed": (LOWER, "Warning: diversity is less than a tenth of the parents' own."),
}  # fmt: skip
