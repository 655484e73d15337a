"""Names of animals: how they are spelled, and which names mean the same animal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.names import in_words, is_device

MAX_CHARACTERS, MAX_BYTES = 60, 180
# A letter or two is a name by itself, but says nothing as a word of another.
_SHORTEST_NAME = 3

STEPS = ("exact", "plural", "synonym", "last word", "first word")
"""How a name may be matched, the closest first."""

# Each name with the names to try in its place, best first. Ours, and kept to what people type; in one direction,
# because a puppy is a dog but a dog is seldom a puppy.
SYNONYMS = {
    "ape": ("gorilla", "chimp"),
    "boar": ("wild_boar",),
    "bunny": ("rabbit",),
    "calf": ("cow",),
    "chick": ("chicken", "hen"),
    "chicken": ("hen", "rooster"),
    "chimpanzee": ("chimp",),
    "cock": ("rooster",),
    "cockerel": ("rooster",),
    "doggy": ("dog",),
    "drake": ("duck",),
    "duckling": ("duck",),
    "elk": ("wapiti", "moose"),
    "ewe": ("sheep",),
    "fawn": ("deer",),
    "foal": ("horse",),
    "goose": ("gander",),
    "gull": ("seagull",),
    "hare": ("rabbit",),
    "hen": ("chicken",),
    "hippo": ("hippopotamus",),
    "hog": ("pig",),
    "hound": ("dog",),
    "human": ("person", "astronaut"),
    "kitten": ("cat",),
    "kitty": ("cat",),
    "lamb": ("sheep",),
    "lioness": ("lion",),
    "man": ("person", "astronaut"),
    "mare": ("horse",),
    "monkey": ("chimp", "tamarin"),
    "orca": ("killer_whale",),
    "killer_whale": ("orca",),
    "ox": ("bull", "cow"),
    "parrot": ("rosella", "lorikeet", "macaw"),
    "peafowl": ("peacock",),
    "peahen": ("peacock",),
    "person": ("astronaut",),
    "piglet": ("pig",),
    "pony": ("horse",),
    "pup": ("dog",),
    "puppy": ("dog",),
    "pussycat": ("cat",),
    "reindeer": ("caribou", "deer"),
    "rhea": ("nandou",),
    "rhinoceros": ("rhino",),
    "rhino": ("rhinoceros",),
    "stag": ("deer",),
    "stallion": ("horse",),
    "swine": ("pig",),
    "tigress": ("tiger",),
    "tomcat": ("cat",),
    "toucan": ("tucan",),
    "vixen": ("fox",),
    "wildebeest": ("gnu",),
    "woman": ("person", "astronaut"),
}
_IRREGULAR = {
    "geese": "goose",
    "lice": "louse",
    "men": "man",
    "mice": "mouse",
    "oxen": "ox",
    "people": "person",
    "women": "woman",
}


def plain_name(text: str) -> str:
    """Spell a name as the library does: small letters and digits, words joined by ``_``.

    ``Golden Eagle``, ``golden-eagle`` and ``GOLDEN_EAGLE`` are one name; so the name is safe as a folder's, too.

    Raises:
        ConfigError: if it holds anything but letters, digits, spaces, ``-``, ``_``, apostrophes and the dot of
            "St. Bernard", is empty or too long, or is reserved by some system.
    """
    name = in_words(text)
    shown = quote(one_line(text, limit=80))
    if not name:
        raise ConfigError(f"{shown} is not a name: use letters and digits, such as golden_eagle")
    # Marks are letters' other half in many scripts (Hindi's vowels).
    wrong = next((c for c in name if c != "_" and unicodedata.category(c)[0] not in "LMN"), "")
    if wrong:
        raise ConfigError(
            f"{shown} is not a name, because of {quote(wrong)}: use letters, digits, spaces, - and _, "
            "such as golden_eagle"
        )
    if len(name) > MAX_CHARACTERS or len(name.encode()) > MAX_BYTES:
        raise ConfigError(f"{shown} is too long for a name: use at most {MAX_CHARACTERS} characters")
    if is_device(name):  # a library may travel
        raise ConfigError(f"{shown} is a device of Windows, not a name: choose another, such as {name}_1")
    return name


def singulars(name: str) -> set[str]:
    """Give a name with whatever its singular may be; English endings, so a guess: ``wolves``: wolve, wolf, wolfe."""
    head, _, word = name.rpartition("_")
    found = {word, _IRREGULAR.get(word, word)}
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        found.add(word[:-1])
        if word.endswith("ies"):
            found.add(word[:-3] + "y")
        if word.endswith("ves"):
            found |= {word[:-3] + "f", word[:-3] + "fe"}
        if word.endswith(("ches", "shes", "xes", "ses", "zes", "oes")):
            found.add(word[:-2])
    return {f"{head}_{form}" if head else form for form in found}


class NameIndex:
    """The names of one place, ready to be matched.

    Args:
        names: as ``plain_name`` spells them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        self._exact: dict[str, list[str]] = {}
        self._plural: dict[str, list[str]] = {}
        self._last: dict[str, list[str]] = {}
        self._first: dict[str, list[str]] = {}
        for name in self.names:
            # Without the _, "sea lion" finds sealion and "sealion" sea_lion.
            self._exact.setdefault(_joined(name), []).append(name)
            for form in singulars(name):
                self._plural.setdefault(_joined(form), []).append(name)
            if "_" in name:
                for form in singulars(name.rpartition("_")[2]):
                    self._last.setdefault(form, []).append(name)
                self._first.setdefault(name.partition("_")[0], []).append(name)

    def find(self, wanted: str, step: str) -> list[str]:
        """Give the names that a wanted one matches at one step of ``STEPS``; of "synonym" the first that there is."""
        if step == "exact":
            return self._exact.get(_joined(wanted), [])
        forms = sorted(singulars(wanted))
        if step == "plural":
            return _collect(self._plural, map(_joined, forms))
        others = [other for form in forms for other in SYNONYMS.get(form, ())]
        if step == "synonym":
            return next((found for other in others if (found := self._exact.get(_joined(other)))), [])
        if len(_joined(wanted)) < _SHORTEST_NAME:
            return []
        words = self._last if step == "last word" else self._first
        if found := _collect(words, forms):
            return found
        return next((found for other in others if (found := words.get(other))), [])


def _joined(name: str) -> str:
    return name.replace("_", "")


def _collect(index: dict[str, list[str]], keys: Iterable[str]) -> list[str]:
    return sorted({name for key in keys for name in index.get(key, [])})
