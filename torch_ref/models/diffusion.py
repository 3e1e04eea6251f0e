"""Denoising diffusion: data turned into noise step by step, and a network that undoes a step.

t = 0 ... T-1   b = beta_t   a = 1 - b   A = the product of a up to t, A' that up to t - 1, A'_0 = 1
forward    x_t = sqrt(A) x_0 + sqrt(1 - A) e                e standard normal
loss       L = mean (e^ - e)^2       e^ = network(x_t, t)
sampling   x_{t-1} = (x_t - b / sqrt(1 - A) e^) / sqrt(a) + sqrt(v) z     z new, 0 at t = 0
           v = b or b (1 - A') / (1 - A)
DDIM       x_s = sqrt(A_s) (x_t - sqrt(1 - A_t) e^) / sqrt(A_t) + sqrt(1 - A_s - v) e^ + sqrt(v) z
           v = eta^2 (1 - A_s) / (1 - A_t) (1 - A_t / A_s)  A_s = 1 after the last

Ho, Jain & Abbeel 2020, arXiv:2006.11239; cosine: Nichol & Dhariwal 2021, arXiv:2102.09672; DDIM:
Song, Meng & Ermon 2021, arXiv:2010.02502.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def linear_betas(steps: int, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Variances that grow evenly.

    Args:
        steps: T.
        first: beta_0.
        last: beta_{T-1}.

    Returns:
        float64 tensor (T,).
    """
    return torch.linspace(first, last, steps, dtype=torch.float64)


def cosine_betas(steps: int, offset: float = 0.008, most: float = 0.999) -> Tensor:
    """Variances by which the signal fades as a squared cosine.

    Args:
        steps: T.
        offset: s, so that the first betas are not too small.
        most: bound of each beta.

    Returns:
        float64 tensor (T,).
    """
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((t + offset) / (1 + offset) * (math.pi / 2)) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=most)


class NoiseSchedule:
    """How much noise each step adds, and what follows from it.

    Args:
        betas: b (T,), float64, each in (0, 1).

    Attributes:
        betas: b (T,).
        alphas: a = 1 - b.
        cumulative: A, the product of a up to t.
        previous: A', that up to t - 1, 1 at t = 0.
        posterior_variance: of q(x_{t-1} | x_t, x_0), 0 at t = 0.
    """

    def __init__(self, betas: Tensor) -> None:
        self.betas = betas
        self.alphas = 1 - betas
        self.cumulative = self.alphas.cumprod(0)
        self.previous = F.pad(self.cumulative[:-1], (1, 0), value=1.0)
        self.posterior_variance = betas * (1 - self.previous) / (1 - self.cumulative)

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.betas)

    def add_noise(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t, all steps up to t at once.

        Args:
            x0: (N, ...).
            t: integers (N,) in [0, T).
            noise: e (N, ...), standard normal.

        Returns:
            x_t (N, ...).
        """
        A = self.cumulative.to(t.device)[t].reshape(-1, *(1,) * (x0.ndim - 1))
        return A.sqrt().to(x0.dtype) * x0 + (1 - A).sqrt().to(x0.dtype) * noise


class DDPM(nn.Module):
    """A network that tells the noise in x_t, how it is trained, and how it makes data.

    Args:
        denoiser: x_t (N, ...) and t (N,) to e^, of the shape of x_t.
        betas: b (T,), float64, each in (0, 1).
    """

    def __init__(self, denoiser: nn.Module, betas: Tensor) -> None:
        super().__init__()
        self.schedule = NoiseSchedule(betas)
        self.denoiser = denoiser

    def forward(self, input: Tensor, t: Tensor) -> Tensor:
        """e^."""
        y: Tensor = self.denoiser(input, t)
        return y

    def loss(self, x0: Tensor, t: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """How far e^ is from the noise that was added.

        Args:
            x0: data (N, ...).
            t: integers (N,) in [0, T); None draws them, each equally often.
            noise: e (N, ...), standard normal; None draws it.

        Returns:
            L (), a mean over every entry.
        """
        if t is None:
            t = torch.randint(0, len(self.schedule), (len(x0),), device=x0.device)
        e = torch.randn_like(x0) if noise is None else noise
        return F.mse_loss(self(self.schedule.add_noise(x0, t, e), t), e)

    @torch.no_grad()
    def sample(
        self,
        shape: Sequence[int],
        variance: str = "beta",
        noises: Tensor | None = None,
        clip: float | None = None,
    ) -> Tensor:
        """Data from noise, in T steps.

        Args:
            shape: of what is made, (N, ...).
            variance: v of each step, 'beta' or 'posterior'.
            noises: (T, N, ...), standard normal, the start and z of t = T-1 ... 1; None draws them.
            clip: c, the bound of the data, which what is predicted of them is held to; None: none.

        Returns:
            x_0 (N, ...).
        """
        s = self.schedule
        variances = s.betas if variance == "beta" else s.posterior_variance
        draw = self._draws(shape, noises)
        x = draw(0)
        for k, t in enumerate(reversed(range(len(s))), 1):
            e = self._predict(x, t, clip)
            b, A = float(s.betas[t]), float(s.cumulative[t])
            x = (x - b / math.sqrt(1 - A) * e) / math.sqrt(1 - b)
            if t > 0:
                x = x + math.sqrt(variances[t]) * draw(k)
        return x

    @torch.no_grad()
    def ddim(
        self,
        shape: Sequence[int],
        steps: Sequence[int] | None = None,
        eta: float = 0.0,
        noises: Tensor | None = None,
        clip: float | None = None,
    ) -> Tensor:
        """Data from noise, in as few steps as one likes.

        Args:
            shape: of what is made, (N, ...).
            steps: some t of 0 ... T-1, ascending; None for all.
            eta: 0 for no noise but the start; 1, over all steps, for DDPM's posterior variance.
            noises: (S, N, ...), standard normal, the start and z of all S steps but the last, of
                which eta = 0 reads the start; None draws what is read.
            clip: c, the bound of the data, which what is predicted of them is held to; None: none.

        Returns:
            x_0 (N, ...).
        """
        times = list(range(len(self.schedule)) if steps is None else steps)
        shares = [float(self.schedule.cumulative[t]) for t in times]
        draw = self._draws(shape, noises)
        x = draw(0)
        rows = list(zip(times, shares, [1.0, *shares[:-1]], strict=True))
        for k, (t, A, before) in enumerate(reversed(rows), 1):
            e = self._predict(x, t, clip)
            v = eta**2 * (1 - before) / (1 - A) * (1 - A / before)
            x0 = (x - math.sqrt(1 - A) * e) / math.sqrt(A)
            x = math.sqrt(before) * x0 + math.sqrt(max(0.0, 1 - before - v)) * e
            if v > 0:
                x = x + math.sqrt(v) * draw(k)
        return x

    def _predict(self, x: Tensor, t: int, clip: float | None) -> Tensor:
        """e^ of x at t, from an x^ within the bound if there is one."""
        e: Tensor = self(x, torch.full((len(x),), t, device=x.device))
        if clip is None:
            return e
        A = float(self.schedule.cumulative[t])
        x0 = ((x - math.sqrt(1 - A) * e) / math.sqrt(A)).clamp(-clip, clip)
        return (x - math.sqrt(A) * x0) / math.sqrt(1 - A)

    def _draws(self, shape: Sequence[int], noises: Tensor | None) -> Callable[[int], Tensor]:
        """The k-th noise, given or drawn."""
        like = next(self.parameters())
        if noises is None:
            return lambda k: torch.randn(*shape, dtype=like.dtype, device=like.device)
        return lambda k: noises[k]
