"""Which formula ``fused`` and ``score`` follow: scores of different ones do not compare. Torch-free."""

FORMULA = 3
"""1 took a probe's memberships, 2 the smallest likeness and coat, less the leakage; 3 is in ``figures.fused_of``."""
EARLIER = 2
"""What wrote down no number was of this formula at most."""
