"""The sliders' positions and the weights they mean. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

STEP = 5
"""Of a slider, in per cent."""
_MIDDLE = 50


def weights_of_line(share: float) -> tuple[float, float]:
    """Give the weights of two parents.

    Args:
        share: of the second one, in per cent.
    """
    second = round(min(100.0, max(0.0, share)) / 100, 2)
    return round(1 - second, 2), second


def weights_of_three(shares: Sequence[float]) -> tuple[float, float, float]:
    """Give the weights of three parents, in hundredths that sum to 1.

    Args:
        shares: of each in per cent, of any sum; none of them: equal shares.
    """
    total = sum(shares)
    first, second, _ = (share / total if total > 0 else 1 / 3 for share in shares)
    first, second = round(first, 2), round(second, 2)
    return first, second, round(max(0.0, 1 - first - second), 2)


def balanced(shares: Sequence[float], moved: int) -> tuple[float, ...]:
    """Give the shares of three parents after one was moved: the others keep their ratio, and all sum to 100.

    Args:
        shares: in per cent, the moved one's new.
        moved: which one it was.
    """
    rest = 100 - shares[moved]
    others = [k for k in range(len(shares)) if k != moved]
    total = sum(shares[k] for k in others)
    new = [float(share) for share in shares]
    for k in others:
        new[k] = round(rest * (shares[k] / total if total > 0 else 1 / len(others)))
    new[others[-1]] = rest - sum(new[k] for k in others[:-1])
    return tuple(new)


def caption(weights: Sequence[float]) -> str:
    """Write weights as people read them: ``70 : 30``."""
    return " : ".join(f"{100 * weight:.0f}" for weight in weights)


def near_first(share: float, *, step: int = STEP) -> list[float]:
    """List positions of the slider, in per cent: those of its half first, the nearest before the others.

    Fusers may prepare something at the first picture of the other half; meanwhile those of this one are there.
    """
    is_low = share <= _MIDDLE

    def comes_at(k: float) -> tuple[bool, float, float]:
        is_far = k > _MIDDLE if is_low else k < _MIDDLE
        return is_far, abs(k - share), k

    return sorted((float(k) for k in range(0, 101, step)), key=comes_at)
