"""The files of the reference that comes along: of which judges there are any, and what they must hold. Torch-free."""

from __future__ import annotations

from pathlib import Path

NAME = "built-in"
"""What figures, reports and records call this reference."""
FOLDER = Path(__file__).parent / "weights"
CHECKSUMS = {
    "tf_efficientnet_lite2": "1f55160a5ed312e22c4a6b88e94392c7201268fa1bd8e2b093559aaa92737684",
    "robust-lite0": "e0122b5fd7c56bc2ee1671adead83c8392e0f8484226bed7b484960a9f7c8879",
    "tf_efficientnet_lite0": "f84f1b40d47710dd376b88060cacf76f460b060c5678b5d884b87a91cfcc7cb2",
    "robust-small-64": "617ef2c8eb2661b3b7ad27af4f7f480de69cd8b7f0f0954217ceee5206f43af6",
}
"""SHA-256 of each judge's file. They are part of what comparisons know their figures by."""


def file_of(judge: str) -> Path | None:
    """Give the file with what a judge sees of the animals; None for a judge whose features do not come along."""
    return FOLDER / f"{judge}.safetensors" if judge in CHECKSUMS else None
