"""Pictures without a face: to learn from, to choose by, and to test with. All were looked through by eye."""

from __future__ import annotations

import gzip
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

# Photographs of insects, spiders, crabs, shells and fish.
PHOTOGRAPHS = {
    "learn": "ant bee dragonfly dung_beetle garden_spider ground_beetle leaf_beetle leafhopper lycaenid rock_crab "
    "sea_anemone sea_slug slug sulphur_butterfly american_lobster black_widow chiton cockroach damselfly isopod "
    "ringlet snail tiger_beetle wolf_spider ladybug tarantula monarch",
    # These were seen when an earlier limit of confidence was set.
    "val": "admiral black_and_gold_garden_spider conch fiddler_crab jellyfish king_crab rhinoceros_beetle sea_cucumber "
    "starfish",
    "test": "barn_spider chambered_nautilus crayfish cricket electric_ray grasshopper long-horned_beetle mantis scorpion "
    "sea_urchin stingray tench tick tiger_shark",
}
# Landscapes: what lies beside the animal in camera-trap pictures, in shares: left, top, right, bottom.
LANDSCAPES = {
    "learn": "insect-spider-1 0 0 1 .9, buffalo-1 0 0 .4 .9, eland-1 0 0 .2 .9, giraffe-2 .62 0 1 .9, "
    "hartebeest-3 .72 0 1 .9, duiker-2 .35 0 1 .9, jackal-2 .68 0 1 .9, impala-3 .75 0 1 .9",
    "val": "insect-spider-2 0 0 1 .9, bat-3 0 0 1 .9, bushbuck-1 .7 0 1 .9, giraffe-1 .7 0 1 .9, giraffe-2 0 0 .28 .9, "
    "dik-dik-1 0 0 .42 .9",
    "test": "insect-spider-3 0 0 1 .9, cheetah-2 0 0 .55 .9, eland-3 0 0 .28 .9, giraffe-3 0 0 .42 .9, "
    "hartebeest-1 .77 0 1 .9, lion-female-3 0 0 .24 .9, aardvark-2 0 0 .5 .9, kori-bustard-1 0 0 .42 .9",
}
# Which test images of MNIST.
DIGITS = {"learn": (), "val": (1, 4, 7), "test": (0, 2, 3, 8, 18)}
PATTERNS = {
    "learn": (),
    "val": ("stripes", "dots", "plain"),
    "test": ("checks", "rings", "waves", "noise", "text"),
}


def faceless(data: Path, use: str) -> list[tuple[str, Picture]]:
    """Read the pictures of one use (learn, val or test), RGB, with their names."""
    found = []
    for name in PHOTOGRAPHS[use].split():
        file = next(p for d in ("more-photos", "photos") if (p := data / d / f"{name}.jpg").is_file())
        found.append((name, _read(file)))
    for line in LANDSCAPES[use].split(", "):
        name, *numbers = line.split()
        picture = _read(data / f"cameratrap/images/serengeti_{name}.jpg")
        height, width = picture.shape[:2]
        left, top, right, bottom = (
            int(float(n) * e) for n, e in zip(numbers, (width, height, width, height), strict=True)
        )
        found.append((f"beside {name}", np.ascontiguousarray(picture[top:bottom, left:right])))
    packed = (data / "mnist/MNIST/raw/t10k-images-idx3-ubyte.gz").read_bytes()
    digits = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16)
    for number in DIGITS[use]:
        digit = cv2.resize(digits.reshape(-1, 28, 28)[number], (224, 224), interpolation=cv2.INTER_CUBIC)
        found.append((f"digit {number}", np.repeat(digit[..., None], 3, 2)))
    return found + [(name, _pattern(name)) for name in PATTERNS[use]]


def _read(file: Path) -> Picture:
    return cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)


def _pattern(name: str) -> Picture:
    y, x = np.mgrid[:240, :320].astype(float)
    rng = np.random.default_rng(0)
    if name == "text":
        page = np.full((240, 320, 3), 245, np.uint8)
        for row in range(24, 230, 22):
            line = "".join(rng.choice(list("aaeeiounrst hlmdcg "), 26))
            cv2.putText(page, line, (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (20, 20, 30), 1, cv2.LINE_AA)
        return page
    light = {
        "stripes": (x // 20 % 2),
        "dots": ((x % 40 - 20) ** 2 + (y % 40 - 20) ** 2 < 100).astype(float),
        "plain": np.full_like(x, 0.6),
        "checks": (x // 30 + y // 30) % 2,
        "rings": np.hypot(x - 160, y - 120) // 15 % 2,
        "waves": 0.5 + 0.5 * np.sin(x / 17 + 3 * np.sin(y / 29)),
        "noise": rng.random(x.shape),
    }[name]
    colours = rng.integers(0, 256, (2, 3))
    return (colours[0] + light[..., None] * (colours[1] - colours[0])).astype(np.uint8)
