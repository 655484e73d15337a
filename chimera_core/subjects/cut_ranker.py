"""How good a cut is: what share of the true head it is expected to enclose, learned from marked heads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chimera_core.files.weights import load_state
from chimera_core.subjects.cut_candidates import Array, Values

# Numbers further from their mean than this, in spreads, are taken for this far.
_FAR = 4.0


class CutRanker(NamedTuple):
    """One hidden layer from a cut's F numbers to its expected overlap; ``sides`` tells its nape from its throat.

    ``mean`` and ``spread`` are float (F,), ``hidden`` (U, F), ``hidden_bias`` and ``out`` (U,), ``out_bias`` (); ``sides``
    (3,) weighs which end lies higher, nearer the back, and away from the snout.
    """

    mean: Array
    spread: Array
    hidden: Array
    hidden_bias: Array
    out: Array
    out_bias: Array
    sides: Array

    def expected_overlap(self, described: Mapping[str, Values]) -> Values:
        """Predict the overlap (IoU) of every cut's head with the true one: (K,) in [0, 1], from ``describe``."""
        numbers = np.stack(list(described.values()), 1)
        # What is not known counts as usual.
        standard = np.nan_to_num(np.clip((numbers - self.mean) / self.spread, -_FAR, _FAR))
        inner = np.maximum(0, standard @ self.hidden.T + self.hidden_bias)
        return np.asarray(1 / (1 + np.exp(-(inner @ self.out + self.out_bias))))


@cache
def default_ranker() -> CutRanker:
    """Load the ranker that ships with the package; HEAD.md beside its weights tells how it was trained."""
    state = load_state(Path(__file__).parent / "weights" / "cuts.safetensors")
    return CutRanker(**{name: state[name].float().numpy() for name in CutRanker._fields})
