"""Noise with a learned strength: y = x + strength noise. Karras et al. 2019, arXiv:1812.04948."""

from torch import Tensor


def inject_noise(input: Tensor, noise: Tensor, strength: Tensor) -> Tensor:
    """y = x + strength noise.

    Args:
        input: x (N, C, H, W).
        noise: (N, 1, H, W), or (H, W) for all samples the same.
        strength: ().

    Returns:
        y of x's shape.
    """
    return input + strength * noise
