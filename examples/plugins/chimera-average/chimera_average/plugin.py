# What there is: read at every command, so it imports nothing heavy.
from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class AverageConfig(Config):
    gamma: float = option(1.0, help="above 1 the heavier parent shows more", gt=0, le=4)


@hookimpl
def chimera_fusion_generators():
    target = "chimera_average.fuser:Average"
    return [ComponentSpec("average", "mean of all parents", target, AverageConfig)]
