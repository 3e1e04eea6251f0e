"""Denoising diffusion: data turned into noise step by step, and a network that undoes a step.

t = 0 ... T-1   b = beta_t   a = 1 - b   A = the product of a up to t, A' that up to t - 1, A'_0 = 1
forward    q(x_t | x_{t-1}) = N(sqrt(a) x_{t-1}, b)         q(x_t | x_0) = N(sqrt(A) x_0, 1 - A)
           x_t = sqrt(A) x_0 + sqrt(1 - A) e                e standard normal
loss       L = mean (e^ - e)^2       e^ = network(x_t, t)
backward   dx_t from the network's;  dx_0 = sqrt(A) dx_t    de = sqrt(1 - A) dx_t, in `add_noise`
sampling   x_{t-1} = (x_t - b / sqrt(1 - A) e^) / sqrt(a) + sqrt(v) z     z new, 0 at t = 0
           v = b, right for x_0 ~ N(0, 1), or b (1 - A') / (1 - A), right for a single x_0
DDIM       x^ = (x_t - sqrt(1 - A) e^) / sqrt(A)            the x_0 that e^ stands for
           x_s = sqrt(A_s) x^ + sqrt(1 - A_s - v) e^ + sqrt(v) z         any s < t
           v = eta^2 (1 - A_s) / (1 - A_t) (1 - A_t / A_s)  A_s = 1 after the last
betas      linear from 1e-4 to 0.02;   cosine: A = f(t + 1) / f(0), f(t) = cos^2 of a quarter turn
           (t / T + s) / (1 + s), b no more than 0.999
shapes     x, e, z (N, ...)   t (N,)   a, b, A (T,), float64, what is made of them in x's dtype
clip = c   x^ in [-c, c] at each step, and e^ = (x_t - sqrt(A) x^) / sqrt(1 - A) from it
others     the papers count t from 1 to T, their code as here. Ho et al.'s code clips x^ to the
           range of the data at each step, their algorithm 2 does not; here `clip` does, as there
           and in DDIM as in Nichol & Dhariwal's code. Diffusers' DDIM keeps e^ as it was
Sources    Ho, Jain & Abbeel 2020, arXiv:2006.11239, equations 4 to 14, algorithms 1 and 2; cosine:
           Nichol & Dhariwal 2021, arXiv:2102.09672, equation 17; DDIM: Song, Meng & Ermon 2021,
           arXiv:2010.02502, equations 12 and 16
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator, check_generator


def linear_betas(steps: int, first: float = 1e-4, last: float = 0.02) -> Array:
    """Variances that grow evenly.

    Args:
        steps: T.
        first: beta_0, in (0, 1).
        last: beta_{T-1}, in (0, 1); made for T = 1000, fewer steps need more.

    Returns:
        float64 array (T,).

    Raises:
        TypeError, ValueError: if `steps` is no positive integer or a beta is out of range.

    Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, section 4.
    """
    steps = check.size("linear_betas", "steps", steps, low=1)
    for name, beta in (("first", first), ("last", last)):
        check.number("linear_betas", name, beta, 0, 1, open_low=True, open_high=True)
    return np.linspace(float(first), float(last), steps)


def cosine_betas(steps: int, offset: float = 0.008, most: float = 0.999) -> Array:
    """Variances by which the signal fades as a squared cosine.

    Args:
        steps: T.
        offset: s, so that the first betas are not too small.
        most: bound of each beta, in (0, 1), without which the last is 1.

    Returns:
        float64 array (T,).

    Raises:
        TypeError, ValueError: if `steps` is no positive integer or a number is out of range.

    Source: Nichol & Dhariwal 2021, arXiv:2102.09672, equation 17.
    """
    steps = check.size("cosine_betas", "steps", steps, low=1)
    s = check.number("cosine_betas", "offset", offset, 0, open_high=True)
    most = check.number("cosine_betas", "most", most, 0, 1, open_low=True, open_high=True)
    f = np.cos((np.arange(steps + 1) / steps + s) / (1 + s) * (math.pi / 2)) ** 2
    betas: Array = np.minimum(1 - f[1:] / f[:-1], most)
    return betas


class NoiseSchedule:
    """How much noise each step adds, and what follows from it.

    Args:
        betas: b (T,), float64, each in (0, 1).

    Attributes:
        betas: b (T,).
        alphas: a = 1 - b.
        cumulative: A, the product of a up to t.
        previous: A', that up to t - 1, 1 at t = 0.
        posterior_variance: of q(x_{t-1} | x_t, x_0), b (1 - A') / (1 - A), 0 at t = 0.

    Raises:
        TypeError, ValueError: if `betas` is not such an array.

    Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, equations 4 and 7.
    """

    def __init__(self, betas: Array) -> None:
        self.betas = check.floating("NoiseSchedule", "betas", betas, like=np.empty(0))
        check.shape("NoiseSchedule", "betas", betas, ("T",))
        if not betas.size or not (betas.min() > 0 and betas.max() < 1):
            check.refuse("NoiseSchedule", "one or more betas in (0, 1)", check.describe(betas))
        self.alphas = 1 - betas
        self.cumulative = np.cumprod(self.alphas)
        self.previous = np.concatenate([[1.0], self.cumulative[:-1]])
        self.posterior_variance = betas * (1 - self.previous) / (1 - self.cumulative)

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.betas)

    def add_noise(self, x0: Array, t: Array, noise: Array) -> tuple[Array, Backward]:
        """x_t = sqrt(A) x_0 + sqrt(1 - A) e, all steps up to t at once.

        Args:
            x0: (N, ...).
            t: integers (N,) in [0, T).
            noise: e (N, ...), standard normal.

        Returns:
            x_t (N, ...), and its backward: dx_t -> dx_0, de.

        Raises:
            TypeError, ValueError: if an array has the wrong dtype or shape, or t is out of range.

        Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, equation 4.
        """
        name = "add_noise"
        x0 = check.floating(name, "x0", x0)
        noise = check.floating(name, "noise", noise, like=x0)
        check.shape(name, "noise", noise, x0.shape)
        t = check.integer(name, "t", t, 0, len(self))
        check.shape(name, "t", t, x0.shape[:1])
        A = self.cumulative[t].reshape(-1, *(1,) * (x0.ndim - 1))
        signal, spread = (np.sqrt(share).astype(x0.dtype) for share in (A, 1 - A))
        return signal * x0 + spread * noise, lambda dx: (signal * dx, spread * dx)


class DDPM(Module):
    """A network that tells the noise in x_t, how it is trained, and how it makes data.

    Args:
        denoiser: x_t (N, ...) and t (N,) to e^, of the shape of x_t.
        betas: b (T,), float64, each in (0, 1).
        generator: where steps and noise come from; None draws a fresh one.

    Shape:
        (N, ...) and (N,) to (N, ...).

    Raises:
        TypeError, ValueError: if `betas` or the generator is none.

    Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239.
    """

    _skips_input_grad = True

    def __init__(
        self, denoiser: Module, betas: Array, *, generator: Generator | None = None
    ) -> None:
        check_generator("DDPM", generator)
        self.schedule = NoiseSchedule(betas)
        self.generator = generator or Generator()
        self.denoiser = denoiser

    def forward(self, input: Array, t: Array) -> tuple[Array, Backward]:
        """e^, and its backward: de^ -> dx_t."""
        return self.denoiser(input, t)

    def loss(
        self, x0: Array, t: Array | None = None, noise: Array | None = None
    ) -> tuple[Array, Backward]:
        """How far e^ is from the noise that was added.

        Args:
            x0: data (N, ...).
            t: integers (N,) in [0, T); None draws them, each equally often.
            noise: e (N, ...), standard normal; None draws it.

        Returns:
            L (), a mean over every entry, and its backward: dL, 1 where it is left out, -> dx_0.

        Raises:
            TypeError, ValueError: if an array has the wrong dtype or shape, or t is out of range.

        Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, equation 14 and algorithm 1.
        """
        x0 = check.floating("DDPM.loss", "x0", x0)
        if not x0.ndim:
            check.refuse("DDPM.loss", "x0 of shape (N, ...)", x0.shape)
        if t is None:
            t = self.generator.randint(0, len(self.schedule), (len(x0),))
        e = self.generator.randn(*x0.shape, dtype=x0.dtype) if noise is None else noise
        x, noise_back = self.schedule.add_noise(x0, t, e)
        predicted, denoiser_back = self.denoiser(x, t)
        loss, loss_back = F.mse_loss(predicted, e)

        def backward(dloss: Array | float = 1.0, needs_input_grad: bool = True) -> Array | None:
            dpredicted, _ = loss_back(dloss)
            dx = denoiser_back(dpredicted, needs_input_grad=needs_input_grad)
            return noise_back(dx)[0] if needs_input_grad else None

        return loss, backward

    def sample(
        self,
        shape: Sequence[int],
        variance: str = "beta",
        noises: Array | None = None,
        clip: float | None = None,
    ) -> Array:
        """Data from noise, in T steps.

        Args:
            shape: of what is made, (N, ...).
            variance: v of each step, 'beta' or 'posterior', the larger and the smaller bound.
            noises: (T, N, ...), standard normal, the start and z of t = T-1 ... 1; None draws them.
            clip: c, the bound of the data, which what is predicted of them is held to; None: none.

        Returns:
            x_0 (N, ...).

        Raises:
            TypeError, ValueError: if the shape, the variance or the noises are none, or `clip` is
                not positive.

        Source: Ho, Jain & Abbeel 2020, arXiv:2006.11239, algorithm 2; variances: section 3.2.
        """
        name, s = "DDPM.sample", self.schedule
        check.option(name, "variance", variance, ("beta", "posterior"))
        variances = s.betas if variance == "beta" else s.posterior_variance
        predict = self._predictor(name, clip)
        draw = self._draws(name, shape, len(s), noises)
        x = draw(0)
        for k, t in enumerate(reversed(range(len(s))), 1):
            e = predict(x, t)
            x = x - float(s.betas[t] / math.sqrt(1 - s.cumulative[t])) * e
            x /= math.sqrt(s.alphas[t])
            if t > 0:
                x += math.sqrt(variances[t]) * draw(k)
        return x

    def ddim(
        self,
        shape: Sequence[int],
        steps: Sequence[int] | None = None,
        eta: float = 0.0,
        noises: Array | None = None,
        clip: float | None = None,
    ) -> Array:
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

        Raises:
            TypeError, ValueError: if the shape, the steps or the noises are none, eta is not in
                [0, 1], or `clip` is not positive.

        Source: Song, Meng & Ermon 2021, arXiv:2010.02502, equations 12 and 16.
        """
        name, s = "DDPM.ddim", self.schedule
        times = np.arange(len(s))
        if steps is not None:
            times = check.integer(name, "steps", np.asarray(steps), 0, len(s))
            if times.ndim != 1 or not times.size or (np.diff(times) <= 0).any():
                check.refuse(name, "one or more steps, ascending", check.describe(steps))
        eta = check.number(name, "eta", eta, 0, 1)
        predict = self._predictor(name, clip)
        draw = self._draws(name, shape, len(times), noises)
        x = draw(0)
        shares = s.cumulative[times]
        befores = np.concatenate([[1.0], shares[:-1]])
        for k in range(1, len(times) + 1):
            A, before = float(shares[-k]), float(befores[-k])
            e = predict(x, int(times[-k]))
            v = eta**2 * (1 - before) / (1 - A) * (1 - A / before)
            x = (x - math.sqrt(1 - A) * e) / math.sqrt(A)
            x = math.sqrt(before) * x + math.sqrt(max(0.0, 1 - before - v)) * e
            if v > 0:
                x += math.sqrt(v) * draw(k)
        return x

    def _predictor(self, name: str, clip: float | None) -> Callable[[Array, int], Array]:
        """e^ of x at t, from an x^ within the bound if there is one."""
        if clip is not None:
            clip = check.number(name, "clip", clip, 0, open_low=True)

        def predict(x: Array, t: int) -> Array:
            e, _ = self.denoiser(x, np.full(len(x), t))
            if clip is None:
                return np.asarray(e)
            A = float(self.schedule.cumulative[t])
            x0 = np.clip((x - math.sqrt(1 - A) * e) / math.sqrt(A), -clip, clip)
            return np.asarray((x - math.sqrt(A) * x0) / math.sqrt(1 - A))

        return predict

    def _draws(
        self, name: str, shape: Sequence[int], count: int, noises: Array | None
    ) -> Callable[[int], Array]:
        """The k-th noise, given or drawn."""
        if not isinstance(shape, Sequence) or not len(shape):
            check.refuse(name, "shape to be (N, ...)", check.describe(shape))
        sizes = [check.size(name, "every size", n) for n in shape]
        dtype = next(self.parameters()).dtype
        if noises is None:
            return lambda k: self.generator.randn(*sizes, dtype=dtype)
        given = check.floating(name, "noises", noises)
        check.shape(name, "noises", given, (count, *sizes))
        return lambda k: given[k]
