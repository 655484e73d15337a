"""What figures follow beside the judge: scores of another formula, or another resizing, do not compare. Torch-free."""

FORMULA = 4
"""1 took a probe's memberships, 2 the smallest likeness and coat, less the leakage, 3 kinship, unity of the views and presence;
4 is in ``figures.fused_of``."""
EARLIER = 2
"""What wrote down no number was of this formula at most."""
RESIZE = "bicubic, antialiased, clamped to [0, 1]"
"""The one filter by which images reach a judge's size."""
