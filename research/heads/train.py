"""Train and measure the head probe that ships in ``chimera_core/subjects/weights/head.safetensors``.

    python research/heads/train.py --data FOLDER --cache CACHE [--out head.safetensors]

FOLDER holds the pictures that marks.txt names; nothing of it is kept but the probe. Features are cached in CACHE.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import load_encoder
from chimera_core.interfaces import FeatureEncoder
from chimera_core.subjects.finding import find_subject
from chimera_core.subjects.head import HeadProbe, head_features, head_map
from chimera_core.subjects.neck import propose_cuts

HERE = Path(__file__).parent
FOLDS = 5
BATCH = 512
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
        found.append(Marked(row[0], kind, fold[kind], row[11], image, mask, points[:4]))
    return found


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


def samples(marked: Marked, encoder: FeatureEncoder, grounds: list[Tensor], rng: np.random.Generator):
    """Show a picture in several frames: whole, tight, closer, on other grounds; draw cells of each.

    Yields (features (n, 944), target (n,), weight (n,)).
    """
    x0, y0, x1, y1 = marked.box
    height, width = marked.mask.shape[-2:]
    side = max(x1 - x0, y1 - y0)
    frames = [(0, height, 0, width)]
    for share in (rng.uniform(0.35, 0.9), 0.15):
        room = share * side
        frame = (max(0, y0 - room), min(height, y1 + room), max(0, x0 - room), min(width, x1 + room))
        if min(frame[1] - frame[0], frame[3] - frame[2]) > 24:
            frames.append(tuple(int(v) for v in frame))
    for number, (top, bottom, left, right) in enumerate(frames):
        image, mask = (t[:, top:bottom, left:right] for t in (marked.image, marked.mask))
        if marked.is_cutout and (number or rng.random() < 0.5):
            ground = grounds[rng.integers(len(grounds))]
            ground = F.interpolate(ground[None], image.shape[-2:], mode="bilinear", antialias=True)[0]
            image = image * mask + ground * (1 - mask)
        box = np.array([x0 - left, y0 - top, x1 - left, y1 - top])
        if rng.random() < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
            box[[0, 2]] = image.shape[-1] - box[[2, 0]]
        features = head_features(encoder, image[None])[0]
        h, w = features.shape[-2:]
        box[0::2] *= w / image.shape[-1]
        box[1::2] *= h / image.shape[-2]
        covered = F.interpolate(mask[None], (h, w), mode="area")[0, 0]
        rows, columns = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        inside = (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])
        for cells, target, wanted in (
            (inside & (covered > 0.5), 1.0, 60),
            (~inside & (covered > 0.5), 0.0, 90),
            (~inside & (covered < 0.1), 0.0, 60),
        ):
            index = cells.flatten().nonzero()[:, 0]
            if len(index):
                index = index[torch.from_numpy(rng.integers(len(index), size=min(wanted, 2 * len(index))))]
                yield (
                    features.flatten(1)[:, index].T,
                    torch.full((len(index),), target),
                    torch.full((len(index),), wanted / len(index)),
                )


def fit(
    x: Tensor, y: Tensor, weight: Tensor, *, networks: int = 2, units: int = 96, epochs: int = 6
) -> HeadProbe:
    """Train networks of one hidden layer on features (n, 944), target 1 (head) or 0, and lay them side by side."""
    mean, spread = x.mean(0), x.std(0) + 1e-4
    parts = []
    for seed in range(networks):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(x.shape[1], units), nn.ReLU(), nn.Dropout(0.3), nn.Linear(units, 1)
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=1.5e-3, weight_decay=0.02)
        steps = epochs * (len(x) // BATCH + 1)
        rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(BATCH):
                odds = net((x[index] - mean) / spread)[:, 0]
                loss = F.binary_cross_entropy_with_logits(odds, y[index], weight=weight[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
        first, last = net[1], net[4]
        hidden = first.weight.detach() / spread
        parts.append(
            (
                hidden,
                first.bias.detach() - hidden @ mean,
                last.weight.detach()[0] / networks,
                last.bias.detach()[0] / networks,
            )
        )
    hidden, bias, out, out_bias = zip(*parts, strict=True)
    return HeadProbe(torch.cat(hidden), torch.cat(bias), torch.cat(out), torch.stack(out_bias).sum())


def measure(marked: Marked, scores: Tensor) -> tuple[bool, float]:
    """Say whether the peak lies in the marked head, and how well the best cut's head overlaps it."""
    x0, y0, x1, y1 = marked.box
    cuts = propose_cuts(marked.mask[0].numpy(), scores[0].numpy())
    if not cuts:
        return False, 0.0
    x, y = cuts[0].peak
    rows, columns = np.mgrid[: scores.shape[-2], : scores.shape[-1]]
    truth = (marked.mask[0].numpy() > 0.5) & (columns > x0) & (columns < x1) & (rows > y0) & (rows < y1)
    both, either = (truth & cuts[0].head).sum(), (truth | cuts[0].head).sum()
    return bool(x0 <= x <= x1 and y0 <= y <= y1), float(both / max(1, either))


def main() -> None:
    """Measure in folds by kind, then train what ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--without", type=Path, help="names of pictures that the shipped probe must not see")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder("timm:timm").requires_grad_(False)
    marks = read_marks(args.data, encoder, args.cache)
    rng = np.random.default_rng(0)
    kept = args.cache / f"features-{len(marks)}.pt"
    if kept.is_file():
        data = torch.load(kept)
    else:
        grounds = [m.image for m in marks if not m.is_cutout][::7]
        data = []
        for number, m in enumerate(marks):
            data += [(number, *[t.half() for t in part]) for part in samples(m, encoder, grounds, rng)]
        torch.save(data, kept)
    x, y, weight = (torch.cat([part[k] for part in data]).float() for k in (1, 2, 3))
    owner = torch.cat([torch.full((len(part[1]),), part[0]) for part in data])
    fold = torch.tensor([m.fold for m in marks])[owner]
    print(f"{len(marks)} pictures, {len(x)} cells")
    results = []
    maps = {}
    for k in range(FOLDS):
        probe = fit(*(t[fold != k] for t in (x, y, weight)))
        for m in marks:
            if m.fold == k:
                maps[m.name] = head_map(encoder, m.image, m.mask, probe=probe)
                results.append((m, *measure(m, maps[m.name])))
    torch.save(maps, args.cache / "maps.pt")
    for k in (*range(FOLDS), None):
        for is_cutout in (True, False):
            rows = [r for r in results if r[0].is_cutout == is_cutout and k in (None, r[0].fold)]
            if rows:
                print(
                    f"fold {'all' if k is None else k} {'cut-outs' if is_cutout else 'photographs':12s} n {len(rows):3d}  "
                    f"peak in head {np.mean([r[1] for r in rows]):.3f}  cut right {np.mean([r[2] > 0.5 for r in rows]):.3f}"
                )
    print("peak missed:", [r[0].name for r in results if not r[1]])
    print("cut wrong:", [(r[0].name, round(r[2], 2)) for r in results if r[1] and r[2] <= 0.5])
    if args.out:
        lines = args.without.read_text().splitlines() if args.without else []
        without = {name for line in lines if not line.startswith("#") for name in line.split()}
        seen = torch.tensor([m.name not in without for m in marks])[owner]
        probe = fit(*(t[seen] for t in (x, y, weight)))
        save_file({k: v.half().contiguous() for k, v in probe._asdict().items()}, args.out)
        print("wrote", args.out, "from", sum(m.name not in without for m in marks), "pictures")


if __name__ == "__main__":
    main()
