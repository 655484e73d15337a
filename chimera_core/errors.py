"""What can go wrong, in words for the person who has to mend it.

Every error that is the user's to mend is a ``ChimeraError`` whose text is one line: what was wrong,
the value met, and what to do. The command line prints it and exits with ``exit_code``; a bug keeps
its traceback.
"""


class ChimeraError(Exception):
    """Base of all expected errors. ``exit_code`` is 2: the input was wrong."""

    exit_code = 2


class ConfigError(ChimeraError):
    """An option, weight, name or file of settings is wrong."""


class DataError(ChimeraError):
    """An image, data set or file of weights cannot be used."""


class MissingDataError(DataError):
    """A data set is not on this disk. ``downloadable``: `chimera source prepare NAME --download` brings it."""

    def __init__(self, message: str, *, downloadable: bool = False) -> None:
        super().__init__(message)
        self.downloadable = downloadable


class PluginError(ChimeraError):
    """A component is missing, broken or does not keep the contract."""


class ShapeError(ChimeraError):
    """A tensor has another shape than the function asks for."""


class RunError(ChimeraError):
    """Right input, but the work failed: disk full, no network, diverged. Exit code 1."""

    exit_code = 1
