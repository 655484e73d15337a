"""The one module that plugins import: everything public of the core, and nothing else.

Importing it costs no torch: names that need torch resolve on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chimera_core.attacks.budget import BudgetConfig
from chimera_core.components import image_readers as _readers
from chimera_core.errors import (
    ChimeraError,
    ConfigError,
    DataError,
    MissingDataError,
    PluginError,
    RunError,
    ShapeError,
)
from chimera_core.files.atomic import atomic_path, describe_folder, one_line
from chimera_core.images.readers import find_readers_by
from chimera_core.lazy_names import import_name
from chimera_core.options.config import Config, Duration, EncoderRef, SourceRef, option, parse_share_box
from chimera_core.plugins.hookspecs import API_VERSION, hookimpl
from chimera_core.records import CheckSetup, ComponentSpec, Example, Level, Parent, Preset, SourceInfo
from chimera_core.subjects.options import HeadOptions, SubjectOptions

if TYPE_CHECKING:
    from chimera_core.arrays import blend_pyramids, blurred, resized, sampled, sharpened, smoothstep
    from chimera_core.attacks.geometry import project_l2, project_linf, random_start
    from chimera_core.attacks.gradients import attack_mode, input_gradient
    from chimera_core.attacks.iterated import fgsm, pgd
    from chimera_core.components.by_name import (
        default_data_root,
        find_asset,
        find_hub_file,
        find_source,
        load_fuser,
        open_source,
    )
    from chimera_core.data.batches import Batch, ImageSplit
    from chimera_core.data.fingerprint import source_identity
    from chimera_core.data.framing import cut, eyes_box, parse_box
    from chimera_core.data.split_names import is_split_name, is_train_name
    from chimera_core.downloads.assets import check_may_download, work_alone
    from chimera_core.downloads.hub import hub_reason
    from chimera_core.downloads.transfer import DownloadError
    from chimera_core.downloads.web import WebClient
    from chimera_core.drawing.folding import folded
    from chimera_core.drawing.processor import drawing_on
    from chimera_core.files.names import is_device, nfc, spelled_in
    from chimera_core.files.own_folders import make_folder, move, relative_name, remove_file, remove_tree
    from chimera_core.files.tables import csv_text, plain_cell
    from chimera_core.files.weights import check_state, load_state
    from chimera_core.images import Picture, decode_picture, picture_shape, read_picture
    from chimera_core.images.folders import pictures_below
    from chimera_core.images.pixels import parent_pixels, resize_shorter
    from chimera_core.interfaces.additions import (
        AdversarialAttack,
        BatchAugmentation,
        CreatureMetric,
        ImageReader,
        OutlineFinder,
        RunLogger,
    )
    from chimera_core.interfaces.components import (
        DatasetSource,
        FeatureEncoder,
        FusionGenerator,
        RobustnessTrainer,
        Split,
    )
    from chimera_core.interfaces.learner import Engine, FuserData, FuserLearner, TrainedFacts
    from chimera_core.models.encoders import load_encoder
    from chimera_core.precision import choose_precision
    from chimera_core.randomness import Draw
    from chimera_core.scoring.sets.probe import Probe, fit_probe
    from chimera_core.subjects.alignment import aligned_face
    from chimera_core.subjects.colour import colour_spread, transfer_colour
    from chimera_core.subjects.face import Face, face_unit, find_face, find_faces
    from chimera_core.subjects.finder import SubjectFinder
    from chimera_core.subjects.head import head_map, head_maps
    from chimera_core.subjects.head_mask import head_mask
    from chimera_core.subjects.neck import NeckCut, propose_cuts
    from chimera_core.subjects.window import Subject, Window, animal_box, or_whole, resize_to, shrink_mask
    from chimera_core.training.parts.ema import Ema
    from chimera_core.training.parts.optimizers import build_optimizer, parameter_groups, set_rate

__all__ = [
    "API_VERSION",
    "AdversarialAttack",
    "Batch",
    "BatchAugmentation",
    "BudgetConfig",
    "CheckSetup",
    "ChimeraError",
    "ComponentSpec",
    "Config",
    "ConfigError",
    "CreatureMetric",
    "DataError",
    "DatasetSource",
    "DownloadError",
    "Draw",
    "Duration",
    "Ema",
    "EncoderRef",
    "Engine",
    "Example",
    "Face",
    "FeatureEncoder",
    "FuserData",
    "FuserLearner",
    "FusionGenerator",
    "HeadOptions",
    "ImageReader",
    "ImageSplit",
    "Level",
    "MissingDataError",
    "NeckCut",
    "OutlineFinder",
    "Parent",
    "Picture",
    "PluginError",
    "Preset",
    "Probe",
    "RobustnessTrainer",
    "RunError",
    "RunLogger",
    "ShapeError",
    "SourceInfo",
    "SourceRef",
    "Split",
    "Subject",
    "SubjectFinder",
    "SubjectOptions",
    "TrainedFacts",
    "WebClient",
    "Window",
    "aligned_face",
    "animal_box",
    "atomic_path",
    "attack_mode",
    "blend_pyramids",
    "blurred",
    "build_optimizer",
    "check_may_download",
    "check_state",
    "choose_precision",
    "colour_spread",
    "csv_text",
    "cut",
    "decode_picture",
    "default_data_root",
    "describe_folder",
    "drawing_on",
    "eyes_box",
    "face_unit",
    "fgsm",
    "find_asset",
    "find_face",
    "find_faces",
    "find_hub_file",
    "find_source",
    "fit_probe",
    "folded",
    "head_map",
    "head_maps",
    "head_mask",
    "hookimpl",
    "hub_reason",
    "input_gradient",
    "is_device",
    "is_split_name",
    "is_train_name",
    "load_encoder",
    "load_fuser",
    "load_state",
    "make_folder",
    "move",
    "nfc",
    "one_line",
    "open_source",
    "option",
    "or_whole",
    "parameter_groups",
    "parent_pixels",
    "parse_box",
    "parse_share_box",
    "pgd",
    "picture_shape",
    "pictures_below",
    "plain_cell",
    "project_l2",
    "project_linf",
    "propose_cuts",
    "random_start",
    "read_picture",
    "relative_name",
    "remove_file",
    "remove_tree",
    "resize_shorter",
    "resize_to",
    "resized",
    "sampled",
    "set_rate",
    "sharpened",
    "shrink_mask",
    "smoothstep",
    "source_identity",
    "spelled_in",
    "transfer_colour",
    "work_alone",
]


# Here, because every plugin imports this module, in every process: a split that is unpickled in a worker can read its
# files before anything else is imported there.
find_readers_by(_readers.readers_of)


def __getattr__(name: str) -> Any:
    return import_name(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
