"""Small nonlinear and linear systems of the Gram matrix, solved on the device with a fixed number of steps."""

import torch
from torch import Tensor

from mtlbench.weightings import cosines
from mtlbench.weightings._eigen import symmetric_eigen

_NEWTON_STEPS = 30
_STEP_LENGTHS = 8
# On the diagonal (relative): keeps numbers finite where gradients cancel exactly and no solution exists.
_RIDGE = 1e-13
# A larger relative residual is a failure. It is 1 where no solution exists and else almost always below 1e-7 (from
# the ridge), so the exact place of the border does not matter.
_RESIDUAL = 1e-3
# Where no solution exists the weights are cut to this multiple of those for orthogonal gradients: they cancel, and
# larger ones would leave nothing but the rounding errors of the gradients.
_LARGEST_FAILED = 1e3
# An eigenvalue of the cosine matrix below this (relative to the largest) counts as zero: float32 gradients leave 1e-14.
_RANK = 1e-12


def power_balance(gram: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Positive weights (T,) with (K w)_t = w_t^-power, and whether the residual stayed large.

    w is the minimum of the convex function w^T K w / 2 - sum of the antiderivatives of w^-power, found by Newton's
    method with a line search; no starting guess, no state. Unknowns are scaled by the solution for orthogonal
    gradients, w_t = K_tt^(-1 / (1 + power)). A task without gradient gets weight 0. Where gradients cancel exactly
    (a combination with positive coefficients is zero: a Pareto-stationary point) no solution exists: the weights are
    then large, finite and cancel, and the failure is reported.
    """
    squared = gram.diagonal()
    active = squared > 0
    scale = torch.where(active, squared, 1.0).pow(-1.0 / (1.0 + power))
    matrix = gram * scale[:, None] * scale[None, :]
    right = torch.where(active, matrix.diagonal(), 1.0)
    # A common factor of both sides changes nothing but the size of the numbers.
    matrix, right = matrix / right.mean(), right / right.mean()
    matrix = torch.where(torch.diag(~active), torch.diag(right), matrix)
    regular = matrix + torch.diag(_RIDGE * right)
    x = torch.ones_like(right)
    for _ in range(_NEWTON_STEPS):
        x = _newton_step(regular, right, power, x)
    residual = ((matrix @ x) * x.pow(power) / right - 1.0).abs().max()
    failed = ~(residual < _RESIDUAL)
    x = torch.where(failed, x * (_LARGEST_FAILED / x.max()).clamp_max(1.0), x)
    return torch.where(active, scale * x, 0.0), failed


def _newton_step(matrix: Tensor, right: Tensor, power: float, x: Tensor) -> Tensor:
    slope = matrix @ x - right * x.pow(-power)
    curvature = matrix + torch.diag(right * power * x.pow(-power - 1.0))
    direction = -torch.linalg.solve_ex(curvature, slope)[0]
    # Stay positive: at most 99 % of the way to the boundary.
    room = torch.where(direction < 0, -0.99 * x / direction, torch.inf).min().clamp_max(1.0)
    lengths = room * 0.5 ** torch.arange(_STEP_LENGTHS, dtype=x.dtype, device=x.device)
    points = x + lengths[:, None] * direction
    quadratic = 0.5 * ((points @ matrix) * points).sum(1)
    barrier = (right * _antiderivative(points, power)).sum(1)
    values = torch.where((quadratic - barrier).isfinite(), quadratic - barrier, torch.inf)
    # The longest of the steps that are best up to rounding: near the solution that is Newton's own step.
    slack = 1e-14 * (quadratic.abs() + barrier.abs())
    length = torch.where(values <= values.min() + slack, lengths, 0.0).max()
    return x + length * direction


def _antiderivative(x: Tensor, power: float) -> Tensor:
    return x.log() if power == 1.0 else x.pow(1.0 - power) / (1.0 - power)


def equal_projections(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (T,) of sum 1 whose combined gradient has the same projection on every task's unit gradient.

    With unit vectors u_t and C their Gram matrix, b_t = a_t |g_t| solves C b = 1 up to a factor. Weights may be
    negative. Tasks without gradient get weight 0. Reports a failure, with even weights, when the sum vanishes.
    """
    cosine, norms = cosines(gram)
    active = norms > 0
    target = active.double()
    matrix = cosine + torch.diag(torch.full_like(norms, _RIDGE))
    balanced = torch.linalg.solve_ex(matrix, target)[0] * target
    # Norms relative to the largest, so that tiny and huge gradients stay in range.
    largest = norms.max()
    relative = norms / torch.where(largest > 0, largest, torch.ones_like(largest))
    raw = balanced / torch.where(active, relative, torch.ones_like(relative)) * target
    total = raw.sum()
    nothing = ~active.any()
    failed = ~(total.abs() > 1e-9 * raw.abs().sum()) & ~nothing
    even = torch.full_like(raw, 1.0 / len(raw))
    return torch.where(failed | nothing, even, raw / total), failed


def equal_cosines(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (T,) of the vector whose direction d has one cosine with all gradients and whose length is sum_t g_t . d.

    d is the unit vector of U^T C^+ 1, U the unit gradients and C^+ the pseudoinverse of their Gram matrix. Tasks
    without gradient get weight 0. Reports a failure where no direction has equal cosines (gradients cancel); the
    weights are those of the direction that comes nearest, 0 if there is none.
    """
    cosine, norms = cosines(gram)
    target = (norms > 0).double()
    values, vectors = symmetric_eigen(cosine)
    kept = values > _RANK * values.max()
    parts = vectors.mT @ target
    balanced = vectors @ torch.where(kept, parts / torch.where(kept, values, 1.0), 0.0) * target
    reached = cosine @ balanced * target
    squared = balanced @ reached
    # At least 1 / (largest eigenvalue) unless the target has no part in the span.
    vanished = squared <= _RANK
    along = torch.where(vanished, 0.0, (norms * reached).sum() / torch.where(vanished, 1.0, squared))
    failed = ~((reached - target).abs().max() < _RESIDUAL)
    return along * balanced / torch.where(norms > 0, norms, torch.ones_like(norms)), failed
