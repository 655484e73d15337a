"""The pictures with heads marked by hand, and their folds by kind of animal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.outline import find_subject

HERE = Path(__file__).parent
FOLDS = 5
SIDE = 384
# Kinds go into one fold together, whatever the pictures are called.
KINDS = {
    "dog": "affenpinscher afghan airedale american_stafford appenzeller australian_terrier basenji beagle bedlington "
    "bernese black-and-tan blenheim bloodhound bluetick border_ boston bouvier briard bull_mastiff cardigan chihuahua "
    "chow clumber curly dandie dhole dingo doberman english_ entlebucher flat-coated german_ golden_ret gordon "
    "great_pyr greater_swiss hunting_dog husky ibizan irish_ japanese_sp keeshond kelpie komondor kuvasz lakeland lhasa "
    "malinois maltese mexican miniature newfoundland norfolk norwegian pekinese pembroke pomeranian poodle pug redbone "
    "rhodesian rottweiler saint_b saluki schipperke scotch sealyham shetland shih soft-coated staffordshire tibetan "
    "vizsla walker weimaraner welsh west_highland whippet wire-haired yorkshire retriever terrier dog/",
    "wolf": "wolf coyote fox",
    "bear": "bear panda",
    "cat": "cat tabby leopard cheetah cougar lion tiger",
    "ape": "chimp gorilla orangutan gibbon baboon guenon macaque monkey langur patas titi marmoset tamarin howler",
    "cattle": "cow bull ox zebu yak bison",
    "horse": "horse sorrel donkey zebra",
    "antelope": "gnu gazelle hartebeest blackbuck",
    "deer": "deer doe wapiti caribou",
    "sheep": "ram sheep goat",
    "pig": "pig hog boar",
    "camel": "camel dromedary llama",
    "fowl": "cock rooster hen turkey quail partridge grouse ptarmigan prairie guineafowl pea",
    "water-fowl": "duck drake goose gander merganser coot pelican penguin albatross gull",
    "wader": "stork crane heron flamingo bittern limpkin bustard oystercatcher dowitcher",
    "songbird": "lark robin finch chickadee junco blackbird magpie crow bee_eater coucal cuckoo hummingbird pigeon",
    "parrot": "macaw african_grey cockatoo tucan quetzal",
    "raptor": "eagle kite vulture owl",
    "ratite": "ostrich nandou",
    "lizard": "agama lizard chameleon iguana gecko komodo whiptail eft salamander alligator",
    "snake": "snake cobra mamba viper diamondback boa",
    "turtle": "turtle terrapin loggerhead",
    "fish": "tench goldfish shark ray",
    "whale": "whale orca dolphin",
    "frog": "frog",
    "weasel": "weasel polecat ferret badger otter",
    "rodent": "mouse rat squirrel marmot beaver capybara guinea_pig hedgehog",
    "rabbit": "rabbit angora",
    "elephant": "elephant",
    "person": "person",
}


@dataclass
class Marked:
    """A picture with its head, marked by hand; all in pixels of the picture as it was read."""

    name: str
    kind: str
    fold: int
    view: str
    image: Tensor
    mask: Tensor
    box: np.ndarray
    points: np.ndarray
    """Nape, throat and snout, (3, 2)."""
    frame: tuple[int, int, int, int]
    """Where the picture as it lies on disk is in it: x, y, width, height."""

    @property
    def is_cutout(self) -> bool:
        """Whether the picture brings its own outline."""
        return self.name.startswith("cutouts/")


def kind_of(name: str) -> str:
    """Tell the kind of animal from a picture's name; what no word fits is a kind of its own."""
    last = name.split("/")[-1] if not name.startswith(("scenes", "pacs")) else name
    hits = [(len(w), kind) for kind, words in KINDS.items() for w in words.split() if w in last]
    return max(hits)[1] if hits else re.sub(r"-?\d+$", "", last.split("/")[-1])


def read_marks(data: Path, encoder: FeatureEncoder, cache: Path) -> list[Marked]:
    """Read marks.txt and its pictures; outlines that had to be found are kept in the cache."""
    rows = [line.split() for line in (HERE / "marks.txt").read_text().splitlines() if line and line[0] != "#"]
    rows = [row for row in rows if len(row) == 12 and row[11] != "poor"]
    kinds = sorted({kind_of(row[0]) for row in rows})
    # By size, so that folds are about equal: dogs alone are a third of the photographs.
    count = defaultdict(int)
    for row in rows:
        count[kind_of(row[0])] += 1
    loads, fold = [0] * FOLDS, {}
    for kind in sorted(kinds, key=lambda k: (-count[k], k)):
        fold[kind] = int(np.argmin(loads))
        loads[fold[kind]] += count[kind]
    print("pictures by fold", loads)
    found = []
    for row in rows:
        image, mask, frame = _read(data, row[0], encoder, cache)
        points = np.array(list(map(float, row[1:11])))
        x, y, width, height = frame
        points[0::2] = points[0::2] / 100 * width + x
        points[1::2] = points[1::2] / 100 * height + y
        kind = kind_of(row[0])
        found.append(
            Marked(
                row[0], kind, fold[kind], row[11], image, mask, points[:4], points[4:].reshape(3, 2), frame
            )
        )
    return found


def names_in(files: Sequence[Path]) -> set[str]:
    """Read the names of pictures from lists such as ``examples/parts/pairs.txt``."""
    lines = [line for file in files for line in file.read_text().splitlines()]
    return {name for line in lines if not line.startswith("#") for name in line.split()}


def _read(
    data: Path, name: str, encoder: FeatureEncoder, cache: Path
) -> tuple[Tensor, Tensor, tuple[int, int, int, int]]:
    file = next(f for s in (".jpg", ".png", ".jpeg", "") if (f := data / (name + s)).is_file())
    picture = Image.open(file)
    if name.startswith("cutouts/"):
        picture = picture.convert("RGBA")
        scale = 300 / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.LANCZOS)
        pad = 40
        ground = Image.new("RGBA", (picture.width + 2 * pad, picture.height + 2 * pad), (0, 0, 0, 0))
        ground.paste(picture, (pad, pad))
        values = torch.from_numpy(np.asarray(ground).copy()).permute(2, 0, 1).float() / 255
        alpha = values[3:]
        return values[:3] * alpha + (1 - alpha) * 0.62, alpha, (pad, pad, picture.width, picture.height)
    picture = picture.convert("RGB")
    scale = SIDE / max(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.LANCZOS)
    image = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255
    kept = cache / "masks" / (name.replace("/", "+") + ".png")
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        mask = find_subject(encoder, image)
        Image.fromarray((mask[0].numpy() * 255).astype(np.uint8)).save(kept)
    mask = torch.from_numpy(np.asarray(Image.open(kept)).copy())[None].float() / 255
    return image, mask, (0, 0, picture.width, picture.height)
