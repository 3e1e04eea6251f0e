"""Convolution whose weights each sample scales by a style, and then to unit variance.

    w'[n, o, i, k] = W[o, i, k] s[n, i]       w'' = w' / sqrt(sum_{i, k} w'^2 + 1e-8)

All samples at once by a grouped convolution, one group a sample. Karras et al. 2020,
arXiv:1912.04958, section 2.2.
"""

from torch import Tensor

from torch_ref.nn.conv2d_resample import conv2d_resample

EPS = 1e-8


def modulated_conv2d(
    input: Tensor,
    weight: Tensor,
    styles: Tensor,
    filter: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    demodulate: bool = True,
) -> Tensor:
    """Convolution with weights of each sample's own.

    Args:
        input: x (N, I, H, W).
        weight: W (O, I, K, K).
        styles: s (N, I).
        filter: f (KH, KW), against aliases; None for none.
        up: factor of the size.
        down: divisor of the size; one of the two is 1.
        padding: zeros on either side, at the larger of the two sizes.
        demodulate: whether the scaled weights are brought back to unit variance.

    Returns:
        y (N, O, H', W').
    """
    n = len(input)
    w = weight * styles[:, None, :, None, None]  # (N, O, I, K, K)
    if demodulate:
        w = w * (w.square().sum((2, 3, 4), keepdim=True) + EPS).rsqrt()
    x = input.flatten(0, 1)[None]
    y = conv2d_resample(x, w.flatten(0, 1), filter, up, down, padding, groups=n)
    return y.reshape(n, -1, *y.shape[2:])
