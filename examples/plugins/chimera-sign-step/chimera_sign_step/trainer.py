"""Training on images that are moved one step against the encoder (Goodfellow et al. 2015)."""

from chimera_core.api import (
    Draw,
    FeatureEncoder,
    RobustnessTrainer,
    attack_mode,
    input_gradient,
    project_linf,
)
from torch import Tensor
from torch.nn.functional import cross_entropy

from chimera_sign_step.plugin import SignStepConfig


class SignStep(RobustnessTrainer):
    """Decides on which images an encoder learns, and with which loss."""

    def __init__(self, config: SignStepConfig) -> None:
        self.config = config

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack images (N, 3, H, W) in [0, 1] of classes y, (N,) or shares (N, K)."""
        eps = self.config.eps_255 / 255
        with attack_mode(encoder):  # no statistics of batch norm move
            gradient = input_gradient(encoder, x, lambda logits: cross_entropy(logits, y))
        return project_linf(x + eps * gradient.sign(), x, eps=eps)

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Give the loss, and scalars to log."""
        attacked = cross_entropy(encoder(self.perturb(encoder, x, y, draw=draw)), y)
        clean = cross_entropy(encoder(x), y)
        total = (attacked + clean) / 2 if self.config.clean else attacked
        return total, {"attacked": attacked, "clean": clean}
