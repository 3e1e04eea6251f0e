"""What the guide derives by symbols, derived again by SymPy and held against what scratch computes.

    convolution           its gradients: windows of x, and k where they lie
    vanishing gradients   dh_T / dh_0 = prod W_h diag(1 - h_t^2)
    VAE                   KL, reparameterisation, both reconstruction terms
    GAN                   D* = p / (p + q), V* = -log 4 + 2 JSD(p, q), what each generator gets
    attention             softmax's Jacobian, why 1 / sqrt(d), all gradients
    L2                    coupled and decoupled decay
    batch normalisation   its three terms

How large a convolution's output is: experiments/convolution_sizes.py. Guide: lines 2056, 3125,
3920, 4235, 4990, 5750 and 6213. Where it slips, the test says so.
"""

import math
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import Matrix, Rational

from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array
from scratch import nn, optim
from scratch.models import VAE
from scratch.nn import functional as F


def agree(what: str, ours: Any, derived: Any, at_least: float = 0.0) -> None:
    """Both float64, apart by no more than an op's rounding; `at_least` as `close` has it."""
    expected = np.asarray(derived, np.float64).reshape(np.shape(ours))
    comparison = close(what, np.asarray(ours), expected, c=64, at_least=at_least)
    assert comparison.passed, str(comparison)


def zero(expression: Any) -> bool:
    """Whether it is, whatever its symbols stand for."""
    return bool(sympy.simplify(expression) == 0)


# Convolution


def test_a_convolutions_gradients_are_convolutions() -> None:
    """Of a 3 x 3 kernel: dk gathers windows of x, dx lays k where they lay. The kernel is not
    flipped: the guide's vertical edge gives 1020."""
    x, k = sympy.symbols("x:4(:5)"), sympy.symbols("k:3(:3)")
    dy = sympy.symbols("dy:2(:3)")
    X, K, D = Matrix(4, 5, x), Matrix(3, 3, k), Matrix(2, 3, dy)
    y = Matrix(2, 3, lambda i, j: sum(X[i : i + 3, j : j + 3].multiply_elementwise(K)))
    total = sum(D.multiply_elementwise(y))
    derived = [list(y), [total.diff(s) for s in x], [total.diff(s) for s in k]]
    rng = np.random.default_rng(0)
    xs, ks, dys = rng.normal(size=(4, 5)), rng.normal(size=(3, 3)), rng.normal(size=(2, 3))
    values = sympy.lambdify([*x, *k, *dy], derived)(*xs.flat, *ks.flat, *dys.flat)
    out, back = F.conv2d(xs[None, None], ks[None, None])
    for what, ours, expected in zip(
        ("y", "dx", "dk"), (out, *back(dys[None, None])), values, strict=True
    ):
        agree(what, ours[0, 0], expected)

    sobel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]
    edge = np.array([[0.0, 0, 255]] * 3)[None, None]
    assert F.conv2d(edge, sobel)[0].item() == 1020


# Vanishing gradients


def test_a_gradient_through_time_is_a_product_of_jacobians() -> None:
    """Three steps of two tanh units, differentiated as one expression."""
    w, u = Matrix(2, 2, sympy.symbols("w:4")), Matrix(sympy.symbols("u:2"))
    x, h_0 = sympy.symbols("x:3"), Matrix(sympy.symbols("h:2"))
    states = [h_0]
    for x_t in x:
        states.append((w * states[-1] + u * x_t).applyfunc(sympy.tanh))
    whole = states[-1].jacobian(h_0)
    product = sympy.eye(2)
    for h in states[1:]:
        product = sympy.diag(*(1 - h_i**2 for h_i in h)) * w * product
    known = [*w, *u, *x, *h_0]
    values = sympy.lambdify(known, [whole, product, states[-1]], cse=True)

    rng = np.random.default_rng(1)
    layer = nn.RNN(1, 2, bias=False, dtype=np.float64)
    weights = {"weight_ih_l0": rng.normal(size=(2, 1)), "weight_hh_l0": rng.normal(size=(2, 2))}
    layer.load_state_dict(weights)
    xs, hs = rng.normal(size=(3, 1)), rng.normal(size=(1, 2))
    derived, multiplied, last = values(
        *weights["weight_hh_l0"].flat, *weights["weight_ih_l0"].flat, *xs.flat, *hs.flat
    )
    agree("the product is the derivative", multiplied, derived)
    (_, h_n), back = layer(xs, hs)
    agree("h_n", h_n[0], last)
    rows = [back(None, dh_n[None])[1][0] for dh_n in np.eye(2)]
    agree("dh_n / dh_0", np.stack(rows), derived)


@pytest.mark.parametrize(
    ("weight", "slope"), [(0.5, 0.25), (2.0, 0.25), (2.0, 0.5), (2.0, 1.0)], ids=str
)
def test_one_unit_at_rest_has_a_gradient_of_w_times_slope_to_the_t(
    weight: float, slope: float
) -> None:
    """A bias holds the unit where tanh' is `slope`, and the gradient is measured.

    The guide calls W_h = 2 with a slope of 0.25 exploding, but 0.5^T vanishes; its figure's
    0.5 of 2 is 1^T, neither. The largest slope of tanh is 1 (0.25 is that of the logistic
    function), and only there does W_h = 2 double the gradient at every step.
    """
    w, b, h, s = sympy.symbols("w b h s", real=True)
    step = sympy.tanh(w * h + b)
    assert zero(step.diff(h) - w * (1 - step**2))
    rest = sympy.sqrt(1 - s)  # 1 - h^2 = s
    held = sympy.atanh(rest) - w * rest  # h = tanh(w h + b)
    at = {w: Rational(weight), s: Rational(slope)}
    T = sympy.symbols("T", positive=True, integer=True)
    a_step = Rational(weight) * Rational(slope)
    limit = sympy.limit(a_step**T, T, sympy.oo)
    assert limit == (0 if a_step < 1 else 1 if a_step == 1 else sympy.oo)

    layer = nn.RNN(1, 1, dtype=np.float64)
    layer.load_state_dict(
        {
            "weight_ih_l0": np.zeros((1, 1)),
            "weight_hh_l0": np.array([[weight]]),
            "bias_ih_l0": np.array([float(held.subs(at))]),
            "bias_hh_l0": np.zeros(1),
        }
    )
    h_0 = np.array([[float(rest.subs(at))]])
    for steps in (5, 10, 20, 50):
        (y, _), back = layer(np.zeros((steps, 1)), h_0)
        np.testing.assert_allclose(y, h_0[0, 0], rtol=1e-13)
        dh_0 = back(None, np.ones((1, 1)))[1].item()
        assert dh_0 == pytest.approx(float(a_step) ** steps, rel=1e-12 * steps)


# The variational autoencoder


def test_the_kl_divergence_and_its_gradient() -> None:
    """The integral of q log(q / p) over z, and its derivatives by m and r."""
    z, m, r = sympy.symbols("z m r", real=True)
    s = sympy.exp(r / 2)
    log_q = -((z - m) ** 2) / (2 * s**2) - r / 2 - sympy.log(2 * sympy.pi) / 2
    log_p = -(z**2) / 2 - sympy.log(2 * sympy.pi) / 2
    e = sympy.symbols("e", real=True)  # z = m + s e: the integral over e of a polynomial
    kl = normal_mean((log_q - log_p).subs(z, m + s * e), e)
    assert zero(kl - (m**2 + sympy.exp(r) - 1 - r) / 2)
    values = sympy.lambdify((m, r), [kl, sympy.diff(kl, m), sympy.diff(kl, r)])
    rng = np.random.default_rng(0)
    mu, logvar = rng.normal(size=(5, 1)), rng.normal(size=(5, 1))
    k, back = F.gaussian_kl(mu, logvar, "none")
    found = np.stack([k, *(d[:, 0] for d in back(np.ones(5)))], 1)
    agree("KL", found, [values(*pair) for pair in zip(mu[:, 0], logvar[:, 0], strict=True)])


def normal_mean(expression: Any, e: Any) -> Any:
    """Of a polynomial of degree two in e, standard normal."""
    moments = {0: 1, 1: 0, 2: 1}
    terms = sympy.Poly(sympy.expand(expression), e).terms()
    return sum(c * moments[k] for (k,), c in terms)


def test_the_samples_gradient() -> None:
    m, r, e = sympy.symbols("m r e", real=True)
    z = m + sympy.exp(r / 2) * e
    values = sympy.lambdify((m, r, e), [z, sympy.diff(z, m), sympy.diff(z, r)])
    rng = np.random.default_rng(1)
    mu, logvar, noise = rng.normal(size=(3, 6))
    y, back = F.reparameterize(mu, logvar, noise)
    expected = [values(*row) for row in zip(mu, logvar, noise, strict=True)]
    agree("z", np.stack([y, *back(np.ones(6))], 1), expected)


def reconstruction(x: Array, y: Array, likelihood: str, log_variance: float) -> list[Array]:
    """R of rows x of which the decoder always says y, and dy, dx, and dlog v if it is learned."""
    model = VAE((len(y), 1), likelihood=likelihood, variance=None, dtype=np.float64)
    nothing = {name: np.zeros_like(value) for name, value in model.state_dict().items()}
    changed: dict[str, Any] = {"decoder.layers.0.bias": y}
    if likelihood == "gaussian":
        changed["log_variance"] = np.array(log_variance)
    model.load_state_dict(nothing | changed)
    (_, R, _), back = model.loss(x, np.zeros((len(x), 1)))
    dx = back(None, np.array(1.0))
    grads = {name: p.grad for name, p in model.named_parameters()}
    return [R, *(grads[name] for name in changed), dx]


def test_the_bernoulli_reconstruction_term_and_its_gradient() -> None:
    """-log of s(y)^x (1 - s(y))^(1 - x): softplus(y) - x y, of which dy = s(y) - x."""
    x, y = sympy.symbols("x y", real=True)
    s = 1 / (1 + sympy.exp(-y))
    each = -(x * sympy.log(s) + (1 - x) * sympy.log(1 - s))
    formula = sympy.log(1 + sympy.exp(y)) - x * y
    assert zero((each - formula).diff(y)) and zero((each - formula).subs(y, 0))
    assert zero(formula.diff(y) - (s - x)) and zero(formula.diff(x) + y)
    terms = sympy.lambdify((x, y), [each, formula.diff(y), formula.diff(x)])
    rng = np.random.default_rng(2)
    xs, ys = rng.uniform(size=(4, 3)), 2 * rng.normal(size=3)
    xs[0] = [0, 1, 0.5]
    values = np.array([[terms(xi, yi) for xi, yi in zip(row, ys, strict=True)] for row in xs])
    R, dy, dx = reconstruction(xs, ys, "bernoulli", 0.0)
    agree("R", R, values[..., 0].sum() / 4)
    agree("dy", dy, values[..., 1].sum(0) / 4)
    agree("dx", dx, np.broadcast_to(-ys, (4, 3)) / 4)


def test_the_gaussian_reconstruction_term_and_its_gradient() -> None:
    """-log of the density of N(y, v) at x, by y, by x and by log v.

    The guide takes |x - y|^2 for it: right but for a constant where v = 1/2. The v that fits best
    is the mean square of x - y, where dlog v = 0.
    """
    x, y, r = sympy.symbols("x y r", real=True)
    v = sympy.exp(r)
    density = sympy.exp(-((x - y) ** 2) / (2 * v)) / sympy.sqrt(2 * sympy.pi * v)
    each = -sympy.expand_log(sympy.log(density), force=True)
    formula = ((x - y) ** 2 / v + r + sympy.log(2 * sympy.pi)) / 2
    assert zero(each - formula)
    assert zero((formula - (x - y) ** 2).subs(r, sympy.log(Rational(1, 2))).diff(y))
    (best,) = sympy.solve(formula.diff(r).subs(v, 1 / sympy.Symbol("p")), sympy.Symbol("p"))
    assert zero(1 / best - (x - y) ** 2)
    terms = sympy.lambdify((x, y, r), [each, *(formula.diff(s) for s in (y, r, x))])

    rng = np.random.default_rng(3)
    xs, ys = rng.normal(size=(4, 3)), rng.normal(size=3)
    for log_variance in (-1.3, 0.0, 0.7):
        R, dy, dr, dx = reconstruction(xs, ys, "gaussian", log_variance)
        values = np.array(
            [[terms(xi, yi, log_variance) for xi, yi in zip(row, ys, strict=True)] for row in xs]
        )
        agree("R", R, values[..., 0].sum() / 4)
        agree("dy", dy, values[..., 1].sum(0) / 4)
        agree("dlog v", dr, values[..., 2].sum() / 4, at_least=1.0)
        agree("dx", dx, values[..., 3] / 4)
    fitted = float(np.log(np.square(xs - ys).mean()))
    assert abs(reconstruction(xs, ys, "gaussian", fitted)[2]) < 1e-14


# The game of a GAN


def test_the_best_discriminator_and_the_games_value() -> None:
    """At one point: p log D + q log(1 - D) is largest at p / (p + q); p = q gives -log 4."""
    p, q, D = sympy.symbols("p q D", positive=True)
    value = p * sympy.log(D) + q * sympy.log(1 - D)
    (best,) = sympy.solve(value.diff(D), D)
    assert zero(best - p / (p + q))
    assert zero(value.diff(D, 2).subs(D, best) + (p + q) ** 3 / (p * q))  # < 0: a maximum
    at_best = value.subs(D, best)
    middle = (p + q) / 2
    twice_jsd = p * sympy.log(p / middle) + q * sympy.log(q / middle)
    assert zero(sympy.expand_log(at_best - twice_jsd + (p + q) * sympy.log(2), force=True))
    assert zero(at_best.subs(q, p) + p * sympy.log(4))  # sums to -log 4, for p sums to 1

    # Four points, drawn as often as p and q say: sixteenths.
    of_p, of_q = np.array([8, 4, 3, 1]), np.array([1, 3, 4, 8])
    for counts in ((of_p, of_q), (of_p, of_p)):
        shares = [[Rational(int(n), 16) for n in count] for count in counts]
        V = sum(at_best.subs({p: a, q: b}) for a, b in zip(*shares, strict=True))
        logits = np.log(counts[0] / counts[1])  # of D*
        real, fake = (np.repeat(logits, count) for count in counts)
        loss, back = F.discriminator_loss(real, fake)
        agree("-V", loss, -float(V))
        point = [np.repeat(np.arange(4), count) for count in counts]
        slopes = sum(np.bincount(i, d, 4) for i, d in zip(point, back(np.array(1.0)), strict=True))
        assert np.abs(slopes).max() < 1e-15  # nothing to gain at any point
    assert zero(V + sympy.log(4))  # of p = q


def test_smoothing_on_one_side_only_scales_the_best_discriminator() -> None:
    """With targets 1 - a and b: D* = ((1 - a) p + b q) / (p + q), so b > 0 brings q in above."""
    p, q, a, b, D = sympy.symbols("p q a b D", positive=True)
    value = p * ((1 - a) * sympy.log(D) + a * sympy.log(1 - D))
    value += q * ((1 - b) * sympy.log(1 - D) + b * sympy.log(D))
    (best,) = sympy.solve(sympy.together(value.diff(D)), D)
    assert zero(best - ((1 - a) * p + b * q) / (p + q))
    star = float(best.subs({p: Rational(3, 4), q: Rational(1, 4), a: Rational(1, 10), b: 0}))
    logit = np.log(star / (1 - star))
    real, fake = F.discriminator_loss(np.full(3, logit), np.full(1, logit), 0.1)[1](np.array(1.0))
    assert abs(0.75 * real.sum() + 0.25 * fake.sum()) < 1e-15


def test_what_the_generators_losses_hand_back() -> None:
    """By the logit f: -s(f) of minimax, which dies where the discriminator is sure of its
    case, and s(f) - 1 of the non-saturating loss, which is largest there."""
    f, D = sympy.symbols("f D", real=True)
    s = 1 / (1 + sympy.exp(-f))
    minimax, steep = sympy.log(1 - s), -sympy.log(s)
    assert zero(minimax.diff(f) + s) and zero(steep.diff(f) - (s - 1))
    assert sympy.limit(minimax.diff(f), f, -sympy.oo) == 0
    assert sympy.limit(steep.diff(f), f, -sympy.oo) == -1
    # The guide draws -1 / (1 - D) and -1 / D, by D: there minimax seems never to be flat. What
    # reaches the generator has passed the discriminator's logistic function too.
    slope = s.diff(f)
    assert zero(sympy.log(1 - D).diff(D).subs(D, s) * slope - minimax.diff(f))
    assert zero((-sympy.log(D)).diff(D).subs(D, s) * slope - steep.diff(f))
    values = sympy.lambdify(f, [minimax, minimax.diff(f), steep, steep.diff(f)])
    logits = np.array([-6.0, -math.log(99), -0.3, 0.0, 1.7, 4.0])
    expected = np.array([values(x) for x in logits]).T
    found = []
    for loss in (F.minimax_generator_loss, F.non_saturating_generator_loss):
        pairs = [loss(np.array([x])) for x in logits]
        found += [[y.item() for y, _ in pairs], [back(np.array(1.0)).item() for _, back in pairs]]
    agree("losses and gradients", np.array(found), expected)
    assert found[3][1] / found[1][1] == pytest.approx(99)  # where D = 0.01


# Attention


def test_softmaxs_jacobian() -> None:
    """diag(y) - y y^T; so backward is y (dy - sum dy y)."""
    x, dy = Matrix(sympy.symbols("x:3", real=True)), Matrix(sympy.symbols("d:3", real=True))
    y = x.applyfunc(sympy.exp)
    y /= sum(y)
    jacobian = sympy.diag(*y) - y * y.T
    assert all(zero(e) for e in y.jacobian(x) - jacobian)
    total = y.dot(dy)
    assert all(zero(total.diff(x[i]) - y[i] * (dy[i] - total)) for i in range(3))
    values = sympy.lambdify(list(x), jacobian)
    for xs in ([0.3, -1.2, 0.9], [5.0, 5.0, -5.0]):
        _, back = F.softmax(np.array(xs), 0)
        agree("rows", np.stack([back(row) for row in np.eye(3)]), values(*xs))


def test_a_dot_product_has_variance_d_and_attention_divides_it_away() -> None:
    """Entries independent, of mean 0 and variance 1.

    Measured where all moments are exact: over every vector of signs. With V = I attention returns
    its weights, whose logarithm is the score but for a constant of the row.
    """
    d = 6
    q, k = sympy.symbols(f"q:{d}"), sympy.symbols(f"k:{d}")
    square = sympy.Poly(sum(a * b for a, b in zip(q, k, strict=True)) ** 2, *q, *k)
    moments = {0: 1, 1: 0, 2: 1}
    variance = sum(
        c * math.prod(moments[power] for power in powers) for powers, c in square.terms()
    )
    assert variance == d
    signs = np.stack(np.meshgrid(*[[-1.0, 1.0]] * d, indexing="ij"), -1).reshape(-1, d)
    for scale, expected in ((None, variance / d), (1.0, variance)):
        weights, _ = F.scaled_dot_product_attention(signs, signs, np.eye(len(signs)), scale=scale)
        agree("variance", np.log(weights).var(axis=1), np.full(len(signs), float(expected)))

    c = sympy.symbols("c", positive=True)  # two keys whose scores are c apart
    first = 1 / (1 + sympy.exp(-c))
    slope = first.diff(c)
    assert zero(slope - first * (1 - first)) and sympy.limit(slope, c, sympy.oo) == 0
    keys = np.array([[1.0], [0.0]])
    _, back = F.scaled_dot_product_attention(np.array([[40.0]]), keys, keys)
    dq = back(np.ones((1, 1)))[0].item()
    assert dq == pytest.approx(float(slope.subs(c, 40)), rel=1e-12) and dq < 1e-17


def test_attentions_gradients() -> None:
    """softmax(Q K^T / sqrt(d)) V of two queries and three keys, d = 2."""
    shapes = {"q": (2, 2), "k": (3, 2), "v": (3, 1), "d": (2, 1)}
    Q, K, V, dY = (Matrix(*s, sympy.symbols(f"{n}:{s[0]}(:{s[1]})")) for n, s in shapes.items())
    scores = Q * K.T / sympy.sqrt(2)
    e = scores.applyfunc(sympy.exp)
    weights = Matrix(2, 3, lambda i, j: e[i, j] / sum(e[i, :]))
    y = weights * V
    total = sum(dY.multiply_elementwise(y))
    derived = [list(y)] + [[total.diff(s) for s in given] for given in (Q, K, V)]
    values = sympy.lambdify([*Q, *K, *V, *dY], derived, cse=True)
    rng = np.random.default_rng(4)
    for scale in (1.0, 4.0):
        q, k, v, dy = (scale * rng.normal(size=shape) for shape in shapes.values())
        expected = values(*q.flat, *k.flat, *v.flat, *dy.flat)
        out, back = F.scaled_dot_product_attention(q, k, v)
        size = float(max(np.abs(x).max() for x in (q, k, v)) * np.abs(dy).max())
        for what, ours, theirs in zip(
            ("y", "dq", "dk", "dv"), (out, *back(dy)), expected, strict=True
        ):
            agree(what, ours, theirs, at_least=size)


# L2


def descended(optimizer: Any, gradients: Any, w: float, **options: Any) -> float:
    """One weight after a step for each gradient of the data's loss."""
    parameter = nn.Parameter(np.array([w]))
    steps = optimizer([parameter], **options)
    for g in gradients:
        parameter.grad = np.array([float(g)])
        steps.step()
    return float(parameter.data[0])


def test_l2_is_coupled_decay_and_only_plain_sgd_cannot_tell_it_from_decoupled() -> None:
    """lam/2 w^2 is weight_decay=lam; the guide also writes lam w^2, which is 2 lam. lam/(2 m) w^2,
    m rows, is lam / m."""
    w, g, h, lam, lr, mu, m = sympy.symbols("w g h lam lr mu m", positive=True)
    data = sympy.Function("L")(w)
    for penalty, decay in (
        (lam / 2 * w**2, lam),
        (lam * w**2, 2 * lam),
        (lam / (2 * m) * w**2, lam / m),
    ):
        assert zero((data + penalty).diff(w) - data.diff(w) - decay * w)

    def coupled(momentum: Any) -> Any:
        v = g + lam * w
        first = w - lr * v
        return first - lr * (momentum * v + h + lam * first)

    def decoupled(momentum: Any) -> Any:
        first = (1 - lr * lam) * w - lr * g
        return (1 - lr * lam) * first - lr * (momentum * g + h)

    assert zero(coupled(0) - decoupled(0))
    assert zero(coupled(mu) - decoupled(mu) + lr * mu * lam * w)
    at = {w: 2.0, g: 0.5, h: -0.3, lam: 0.1, lr: 0.2}
    for momentum in (0.0, 0.9):
        found = descended(optim.SGD, [0.5, -0.3], 2.0, lr=0.2, momentum=momentum, weight_decay=0.1)
        assert found == pytest.approx(float(coupled(momentum).subs(at)), rel=1e-14)
    twice = [0.5 + 2 * 0.1 * 2.0]  # the gradient of L + lam w^2
    found = descended(optim.SGD, [0.5], 2.0, lr=0.2, weight_decay=0.2)
    assert found == pytest.approx(descended(optim.SGD, twice, 2.0, lr=0.2), rel=1e-14)


def test_adam_divides_coupled_decay_by_itself() -> None:
    """The first step: without a gradient of the data lr, whatever lam is; decoupled lr lam w."""
    w, g, lam, lr, eps = sympy.symbols("w g lam lr eps", positive=True)

    def adam(gradient: Any) -> Any:
        return lr * gradient / (sympy.sqrt(gradient**2) + eps)

    coupled, decoupled = w - adam(g + lam * w), (1 - lr * lam) * w - adam(g)
    assert zero(sympy.limit(coupled.subs(g, 0), eps, 0) - (w - lr))
    assert zero(decoupled.subs(g, 0) - (1 - lr * lam) * w)
    for gradient in (0.0, 0.4):
        for decay in (0.01, 0.3):
            at = {w: 2.0, g: gradient, lam: decay, lr: 0.05, eps: 1e-8}
            options = {"lr": 0.05, "weight_decay": decay}
            for formula, kind in ((coupled, optim.Adam), (decoupled, optim.AdamW)):
                found = descended(kind, [gradient], 2.0, **options)
                assert found == pytest.approx(float(formula.subs(at)), rel=1e-12)


def test_a_weight_that_is_pulled_does_not_decay_to_zero() -> None:
    """Under the guide's constant gradient: to -g / lam, five below zero where it draws a line at 0.
    Decay alone, without a gradient, is what shrinks by (1 - lr lam) each step."""
    w_0, g, lam, lr = sympy.symbols("w_0 g lam lr", positive=True)
    n = sympy.symbols("n", integer=True, nonnegative=True)
    rate = 1 - lr * lam
    closed = rate**n * (w_0 + g / lam) - g / lam
    assert zero(closed.subs(n, 0) - w_0)
    assert zero(closed.subs(n, n + 1) - (rate * closed - lr * g))
    for decay, gradient in ((0.1, 0.5), (0.01, 0.5), (0.1, 0.0)):
        at = {w_0: 2.0, g: gradient, lam: decay, lr: 0.1, n: 100}
        found = descended(optim.SGD, [gradient] * 100, 2.0, lr=0.1, weight_decay=decay)
        assert found == pytest.approx(float(closed.subs(at)), rel=1e-12)
    far = descended(optim.SGD, [0.5] * 4000, 2.0, lr=0.1, weight_decay=0.1)
    assert far == pytest.approx(-5.0, rel=1e-12)


# Batch normalisation


def test_batch_normalisations_gradient() -> None:
    """d (sum dy y) / dx, dg and db of a batch of 3, by the rules of calculus and nothing else.

    The guide's dx, from dn = g dy, has g once more and lacks the 1 / m: it is m g times too large.
    """
    x, dy = sympy.symbols("x:3", real=True), sympy.symbols("dy:3", real=True)
    g, b, eps = sympy.symbols("g b eps", positive=True)
    mean = sum(x) / 3
    var = sum((xi - mean) ** 2 for xi in x) / 3
    y = [g * (xi - mean) / sympy.sqrt(var + eps) + b for xi in x]
    total = sum(dyi * yi for dyi, yi in zip(dy, y, strict=True))
    known = [*x, *dy, g, b, eps]
    values = sympy.lambdify(known, y)
    derived = sympy.lambdify(known, [sympy.diff(total, symbol) for symbol in (*x, g, b)])

    # The formula at the head of the file is that derivative, not only where it was tried.
    root = sympy.sqrt(var + eps)
    n = [(xi - mean) / root for xi in x]
    mean_dy, mean_dyn = sum(dy) / 3, sum(d * ni for d, ni in zip(dy, n, strict=True)) / 3
    for xi, dyi, ni in zip(x, dy, n, strict=True):
        formula = g * (dyi - mean_dy - ni * mean_dyn) / root
        assert zero(sympy.diff(total, xi) - formula)

    rng = np.random.default_rng(0)
    for scale, chosen in ((1.0, 1e-5), (1e-3, 1e-5), (100.0, 0.5)):
        xs, dys, (gain, bias) = scale * rng.normal(size=3), rng.normal(size=3), rng.normal(size=2)
        arrays = xs[:, None], None, None, np.array([gain]), np.array([bias])
        out, back = F.batch_norm(*arrays, training=True, eps=chosen)
        dx, dg, db = back(dys[:, None])
        at = [*xs, *dys, gain, bias, chosen]
        expected = derived(*at)
        agree("y", out, values(*at))
        # dy - mean dy - n mean(dy n) cancels: three values leave one degree of freedom.
        terms = float(np.max(np.abs(gain * dys)) / np.sqrt(np.var(xs) + chosen))
        agree("dx", dx, expected[:3], at_least=terms)
        agree("dg", dg, expected[3])
        agree("db", db, expected[4])
