"""What this package offers. It is read at every command, so it imports nothing heavy."""

from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1


class SignStepConfig(Config):
    """Options: each becomes a flag."""

    eps_255: float = option(8.0, help="largest change of a pixel, of 255", gt=0, le=64)
    clean: bool = option(True, help="learn from the clean images too")


@hookimpl
def chimera_robustness_trainers() -> list[ComponentSpec]:
    """Offer one trainer."""
    return [
        ComponentSpec(
            name="sign-step",
            summary="one step of attack",
            target="chimera_sign_step.trainer:SignStep",
            config=SignStepConfig,
        )
    ]
