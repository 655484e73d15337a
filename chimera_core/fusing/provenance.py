"""What a creature's PNG keeps of how it was made. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from chimera_core import __version__
from chimera_core.fusing.request import FusionRequest
from chimera_core.privacy import without_folders


def provenance(request: FusionRequest, fuser: str, weights: Sequence[float], seed: int) -> dict[str, str]:
    """Give the text of a PNG, by keyword. Folders are left out: pictures travel, paths are private.

    Args:
        fuser: the one that worked.
        weights: one per parent, sum 1.
        seed: of this creature.
    """
    credits = [p.as_json(with_folder=False) for p in request.pictures if p is not None]
    return {
        "Software": f"chimera-toolkit {__version__}",
        "chimera.version": __version__,
        "chimera.fuser": fuser,
        "chimera.component": request.fuser.name,
        "chimera.distribution": request.fuser.component.distribution,
        "chimera.parents": json.dumps([Path(p).name for p in request.named], ensure_ascii=False),
        "chimera.weights": json.dumps([round(w, 6) for w in weights]),
        "chimera.seed": str(seed),
        "chimera.size": str(request.size),
        "chimera.options": json.dumps(
            without_folders(request.fuser.config.model_dump(mode="json")), ensure_ascii=False
        ),
        **({"chimera.background": request.background} if request.background != "keep" else {}),
        **({"chimera.attribution": json.dumps(credits, ensure_ascii=False)} if credits else {}),
    }
