"""Exact solutions of the small convex problems of MGDA, CAGrad, UPGrad, FORUM and the dual projection, on the device.

Each optimum lies inside one face of its feasible set and is given by a linear system there. With T tasks there are
2^T faces: all systems are solved in one batch, every solution is made feasible, and the best true objective wins.
A candidate from an ill-conditioned face is only a worse candidate, so nothing needs a tolerance to be valid. No
iteration, no host synchronisation; float64; cost about 2^T T^3, fine up to T = 12.
"""

import functools

import torch
from torch import Tensor

#: More tasks than this make the enumeration slow (2^12 systems of 13 equations).
MOST_TASKS = 12
# Each face is tried as it is and with this much (relative to the mean squared norm) on the diagonal, which
# settles faces whose gradients are linearly dependent.
_RIDGES = (0.0, 1e-10)
# A constraint holds when no more than this share of the lengths (and rounding) is missing.
_EASE = 1e-9
_EPSILON = torch.finfo(torch.float64).eps


@functools.cache
def faces(count: int, device: torch.device) -> Tensor:
    """All non-empty subsets of ``count`` tasks as a boolean matrix (2^count - 1, count)."""
    numbers = torch.arange(1, 2**count)[:, None]
    return ((numbers >> torch.arange(count)) & 1).bool().to(device)


def min_norm(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (T,) on the simplex with the smallest norm of G^T a, and whether no solution was found.

    Of several optima (parallel gradients) the most even one is returned.
    """
    scaled = _scaled(gram)
    candidates = _min_norm_candidates(scaled)
    objective, error = _quadratic(candidates, scaled)
    return _best(candidates, objective, error)


def conflict_averse(gram: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """Weights (T,) on the simplex that minimise g_w.g_0 + c |g_0| |g_w|, g_0 the mean; and whether none was found.

    Inside a face S, with K the Gram matrix, b = K 1/T and k = c |g_0|, stationarity gives
    a proportional to K_S^-1 (l 1 - b), where l solves (l 1 - b)^T K_S^-1 (l 1 - b) = k^2. At a point with g_w = 0
    the objective has a kink; the minimum-norm point stands for those.
    """
    scaled = _scaled(gram)
    count = len(scaled)
    linear = scaled.mean(1)
    radius = c * scaled.mean().clamp_min(0.0).sqrt()
    mask = faces(count, gram.device).double()
    matrices = _face_matrices(scaled, mask)
    right = torch.stack([mask, mask * linear], dim=-1).repeat(len(_RIDGES), 1, 1)
    ones, lines = torch.linalg.solve_ex(matrices, right)[0].unbind(-1)
    mask = mask.repeat(len(_RIDGES), 1)
    a, b, d = (ones * mask).sum(1), (lines * mask).sum(1), (lines * mask * linear).sum(1)
    level = (b + (b * b - a * (d - radius * radius)).clamp_min(0.0).sqrt()) / a
    inside = _on_simplex((level[:, None] * ones - lines) * mask)
    candidates = torch.cat([inside, _min_norm_candidates(scaled)])
    squared, error = _quadratic(candidates, scaled)
    length = squared.clamp_min(0.0).sqrt()
    dot = candidates @ linear
    rounding = _EPSILON * count * (candidates @ linear.abs() + radius * length) + error
    return _best(candidates, dot + radius * length, rounding)


def dual_cone(cosine: Tensor) -> tuple[Tensor, Tensor]:
    """Projections of T unit vectors onto the dual cone of all: (T, T) coefficients, and whether one was not found.

    Row t holds u >= 0 with projection = v_t + sum_i u_i v_i, the nearest vector that has no negative product with
    any v_i; ``cosine`` (T, T) is the Gram matrix of the unit vectors v_i.
    """
    return onto_dual_cone(cosine, torch.eye(len(cosine), dtype=cosine.dtype, device=cosine.device))


def onto_dual_cone(cosine: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`dual_cone`, of K combinations of the v_i, given by their coefficients (K, T): (K, T) coefficients u."""
    mask = faces(len(cosine), cosine.device).double()
    matrices = _face_matrices(cosine, mask)
    right = (-mask[:, :, None] * (cosine @ vectors.mT)).repeat(len(_RIDGES), 1, 1)
    inside = torch.linalg.solve_ex(matrices, right)[0] * mask.repeat(len(_RIDGES), 1)[:, :, None]
    # (candidates, coefficients, vectors) -> (vectors, candidates, coefficients); last, not to add anything.
    candidates = torch.nn.functional.pad(inside.permute(2, 0, 1), (0, 0, 0, 1))
    candidates = torch.where(candidates.isfinite(), candidates, 0.0).clamp_min(0.0)
    objective, error = _quadratic(candidates + vectors[:, None, :], cosine)
    picked = [_best(*row) for row in zip(candidates, objective, error, strict=True)]
    return torch.stack([row for row, _ in picked]), torch.stack([failed for _, failed in picked]).any()


def nearest_with_progress(gram: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Coefficients (T,) of the d nearest to v_0 with v_j . d >= share |v_j|^2 for all others; and whether none exists.

    ``gram`` (T, T) are the products of the v. The solution is v_0 + sum of u_j v_j with u >= 0: a face of the dual
    problem, min over u of u^T K u / 2 - b^T u with b_j = share |v_j|^2 - v_j . v_0. Where no d satisfies all
    constraints, that has no minimum, and (1, 0, ..., 0) is returned.
    """
    inner, lengths = gram[1:, 1:], gram.diagonal()[1:]
    needed = share * lengths - gram[1:, 0]
    mask = faces(len(inner), gram.device).double()
    right = (mask * needed).repeat(len(_RIDGES), 1)
    inside = torch.linalg.solve_ex(_face_matrices(inner, mask), right)[0] * mask.repeat(len(_RIDGES), 1)
    candidates = torch.nn.functional.pad(inside, (0, 0, 0, 1))  # the last: nothing is added
    candidates = torch.where(candidates.isfinite(), candidates, 0.0).clamp_min(0.0)
    missing = needed - candidates @ inner
    rounding = 8 * len(gram) * _EPSILON * (candidates @ inner.abs())
    slack = _EASE * (lengths + (lengths * gram[0, 0]).sqrt()) + rounding
    allowed = (missing <= slack).all(1)
    squared, error = _quadratic(candidates, inner)
    # |d - v_0|^2, the primal objective: of the u that satisfy all constraints the one nearest to v_0.
    best, failed = _best(candidates, torch.where(allowed, squared, torch.nan), error)
    added = torch.where(failed, 0.0, best)
    return torch.cat([torch.ones_like(added[:1]), added]), failed


def constrained_min_norm(gram: Tensor, along: Tensor, square: Tensor, rho: float) -> tuple[Tensor, Tensor]:
    """Weights (T,) on the simplex that minimise |v_a + n q|^2 - rho |q|^2 n, n = max(pi . a, 0); and whether none was.

    ``gram`` (T, T) and ``along`` (T,) are the products of the v with each other and with q, ``square`` > 0 is |q|^2,
    and pi_t = rho - v_t . q / |q|^2. That is |v_a|^2 + n v_a . q: convex, of one quadratic piece where pi . a > 0
    and of |v_a|^2 elsewhere. The optimum is inside a face of the simplex for one piece, or in the plane between them.
    """
    pi = rho - along / square
    across = gram - along[:, None] * along / square
    candidates = torch.cat([
        _face_minima(across, 0.5 * rho * along), _min_norm_candidates(_scaled(gram)),
        _face_minima(gram, torch.zeros_like(pi), pi),
    ])  # fmt: skip
    n = (candidates @ pi).clamp_min(0.0)
    squared, error = _quadratic(candidates, gram)
    rounding = error + _EPSILON * len(gram) * n * (candidates @ along.abs())
    return _best(candidates, squared + n * (candidates @ along), rounding)


def _face_minima(matrix: Tensor, linear: Tensor, zero: Tensor | None = None) -> Tensor:
    """The minimum of a^T M a + 2 b . a on each face's plane of sum 1 (and ``zero`` . a = 0), made feasible."""
    mask = faces(len(matrix), matrix.device).double()
    inner = _face_matrices(matrix, mask)
    mask = mask.repeat(len(_RIDGES), 1)
    border = torch.stack([mask] if zero is None else [mask, mask * zero], dim=1)
    corner = torch.zeros(len(mask), border.shape[1], border.shape[1], dtype=matrix.dtype, device=matrix.device)
    system = torch.cat([torch.cat([inner, border.mT], 2), torch.cat([border, corner], 2)], 1)
    ends = torch.zeros(len(mask), border.shape[1], dtype=matrix.dtype, device=matrix.device)
    ends[:, 0] = 1.0
    right = torch.cat([-mask * linear, ends], 1)
    return _on_simplex(torch.linalg.solve_ex(system, right)[0][:, : len(matrix)] * mask)


def _scaled(gram: Tensor) -> Tensor:
    scale = gram.diagonal().mean()
    return gram / torch.where(scale > 0, scale, torch.ones_like(scale))


def _face_matrices(gram: Tensor, mask: Tensor) -> Tensor:
    """K_S for every face S, with 1 on the diagonal outside, once for each ridge: (ridges x faces, T, T)."""
    inner = mask[:, :, None] * gram * mask[:, None, :] + torch.diag_embed(1.0 - mask)
    return torch.cat([inner + ridge * torch.diag_embed(mask) for ridge in _RIDGES])


def _min_norm_candidates(gram: Tensor) -> Tensor:
    """The point of smallest norm of each face's plane, made feasible: (ridges x faces, T)."""
    mask = faces(len(gram), gram.device).double()
    inner = _face_matrices(gram, mask)
    mask = mask.repeat(len(_RIDGES), 1)
    bordered = torch.zeros(*(size + 1 for size in inner.shape[1:]), dtype=gram.dtype, device=gram.device)
    bordered = bordered.repeat(len(inner), 1, 1)
    bordered[:, :-1, :-1] = inner
    bordered[:, :-1, -1] = mask
    bordered[:, -1, :-1] = mask
    right = torch.zeros(len(inner), len(gram) + 1, dtype=gram.dtype, device=gram.device)
    right[:, -1] = 1.0
    return _on_simplex(torch.linalg.solve_ex(bordered, right)[0][:, :-1] * mask)


def _on_simplex(candidates: Tensor) -> Tensor:
    """Negative parts dropped, divided by the sum; NaN where that is impossible."""
    positive = candidates.clamp_min(0.0)
    return positive / positive.sum(1, keepdim=True)


def _quadratic(candidates: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """a^T K a of every candidate and a bound of its rounding error."""
    value = ((candidates @ gram) * candidates).sum(-1)
    bound = len(gram) * _EPSILON * ((candidates @ gram.abs()) * candidates).sum(-1)
    return value, bound


def _best(candidates: Tensor, objective: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """The candidate of smallest objective; among those equal up to rounding the one of smallest length."""
    valid = candidates.isfinite().all(1) & objective.isfinite()
    candidates = torch.where(valid[:, None], candidates, 0.0)
    low = torch.where(valid, objective - error, torch.inf)
    high = torch.where(valid, objective + error, torch.inf)
    length = torch.where(valid & (low <= high.min()), candidates.square().sum(1), torch.inf)
    # Of nearly equal candidates the first: faces without a ridge come before those with one and are more exact.
    places = torch.arange(len(length), device=length.device)
    best = torch.where(length <= length.min() * (1 + 1e-6), places, len(length) - 1).min()
    # index_select, because indexing with a 0-dim tensor would wait for the device.
    best = candidates.index_select(0, best.reshape(1)).squeeze(0)
    failed = ~valid.any()
    even = torch.full_like(best, 1.0 / len(best))
    return torch.where(failed, even, best), failed
