"""How well the genome `paper` can be read at all: the van Trees bound, with the clean picture known.

**The law of a value.** Clean signal x, strengths s = softmax(z), z standard normal. Gaussian noise of SD s1, cut to
[0, 1], leaves a piece of a Gaussian between a mass at black and one at white. Salt and pepper replaces each value by
black, or by white, with probability t = s2/4. Whole counts of light make what is at y white with probability
1 - exp(-r y), r = s3/4 (every count from one on is white after the cut). A Gaussian times exp(-r y) is another one:
mean x - r s1^2, weight exp(-r x + r^2 s1^2/2). Quantisation with uniform dither and step q = s4/4 puts y on the
multiple kq with probability max(0, 1 - |y/q - k|), so the mass of each multiple is a second difference of
G(t) = E[max(t - y, 0)], known in closed form. The last Gaussian, of SD (s5/4) times the norm of the 5x5 kernel, blurs
these masses; values beyond 0 and 1 lie there. Probabilities are those of BINS equal bins between, and of the two ends.

**The information.** Each pixel adds the Fisher matrix sum over bins of dP dP^T / P, (5, 5) for s1..s5; over the
clean picture's own histogram this is I(s), and J(z) = D^T I D + 1 with D = ds/dz = diag(s) - s s^T and the prior's own
information, the unit matrix.

**The bound.** Van Trees (1968; Gill and Levit 1995): the mean squared error of s is at least D J^-1 D^T. It is taken at
each genome and averaged over the law. (With D and J averaged first the inequality is strict for any estimator, and far
more optimistic, since a few sharp lattices own the mean of J; the mean of the bounds is what that inequality, weighted
by the inverse information, tends to with many pixels: Bobrovsky, Mayer-Wolf and Zakai 1987.)

**Assumed.** The clean picture is known exactly; one plane; values are judged pixel by pixel: the last noise is taken
with its own SD but as if it were independent from pixel to pixel. What its correlation tells beside that is left out,
and what it hides. Values finer than a bin are not told apart. So it is the limit of readers of values, not of all that
can be thought of, and a reader of the noisy picture alone, who has to guess the clean one, stays above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from noisediag.genome import paper

Floats = NDArray[np.float64]

GENOMES = 160  # draws of the law
LEVELS = 65  # of clean signal, ends included
BINS = 4096  # of values, as of 12 bits
LAST_SD = paper.SCALE * sum(tap**2 for tap in paper.BINOMIAL)  # of the anisotropic noise, for strength 1
SMALLEST_STEP = 0.002  # normalised: finer lattices are taken as this one
SMALLEST_SD = 2e-4  # of the last noise; below, a lattice is as sharp as the bins
RELATIVE_STEP = 1e-5  # of differences
RARE = 1e-12  # probability below which a bin says nothing


def levels_of(clean: NDArray[np.floating]) -> Floats:
    """How many pixels of a clean picture in [0, 1] lie at each of LEVELS signals, `(LEVELS,)`."""
    places = np.rint(np.clip(clean, 0, 1) * (LEVELS - 1)).astype(np.int64)
    return np.bincount(places.ravel(), minlength=LEVELS).astype(np.float64)


def least_errors(levels: Floats, *, seed: int, genomes: int = GENOMES) -> Floats:
    """The mean squared error of each strength that the bound leaves, `(n, 6)`.

    `levels` (n, LEVELS): pixels of n clean pictures, see `levels_of`. `genomes` draws of the law; the same for each
    picture.
    """
    strengths = paper.sample(genomes, torch.Generator().manual_seed(seed)).double().numpy()
    total = np.zeros((len(levels), len(paper.NAMES)))
    for one in strengths:
        information = np.tensordot(levels, pixel_information(one), 1)  # (n, 5, 5)
        jacobian = np.diag(one) - np.outer(one, one)
        told = np.eye(len(one)) + jacobian[:-1].T @ information @ jacobian[:-1]
        error = jacobian @ np.linalg.inv(told) @ jacobian.T
        total += np.diagonal(error, axis1=1, axis2=2)
    return total / genomes


def pixel_information(strengths: Floats) -> Floats:
    """Fisher information of one pixel at each clean signal about the first five strengths, `(LEVELS, 5, 5)`."""
    probability, slopes = value_law(strengths)
    seen = np.where(probability > RARE, probability, np.inf)
    scaled = slopes / np.sqrt(seen)  # (5, LEVELS, BINS)
    return np.asarray(np.einsum("ilb,jlb->lij", scaled, scaled, optimize=True))


def value_law(strengths: Floats) -> tuple[Floats, Floats]:
    """Probabilities of the bins of values at each clean signal, and their slopes by the first five strengths.

    Shapes `(LEVELS, BINS)` and `(5, LEVELS, BINS)`; the outer bins go on beyond 0 and 1.
    """
    gaussian, salt, poisson, step, last = (float(s) for s in strengths[:5])
    point = (max(gaussian, SMALLEST_SD), salt, poisson, max(paper.SCALE * step, SMALLEST_STEP))
    multiples = math.floor(1 / point[3]) + 2
    places = np.arange(multiples) * point[3]
    blur = _Blur.of(np.minimum(places, 1), max(LAST_SD * last, SMALLEST_SD))
    masses = _masses(point, multiples)
    of_masses = []
    for number, value in enumerate(point):
        h = RELATIVE_STEP * value
        above, below = (tuple(v + sign * h * (i == number) for i, v in enumerate(point)) for sign in (1, -1))
        of_masses.append((_masses(above, multiples) - _masses(below, multiples)) / (2 * h))
    moved = np.where(places < 1, np.arange(multiples), 0)  # of a multiple, by the step
    by_step = of_masses[3] @ blur.share + (masses * moved) @ blur.by_place
    slopes = [*(one @ blur.share for one in of_masses[:3]), paper.SCALE * by_step, LAST_SD * (masses @ blur.by_sd)]
    return masses @ blur.share, np.stack(slopes)


@dataclass(frozen=True)
class _Blur:
    """What share of the mass at each place falls into each bin, `(places, BINS)`, with its slopes."""

    share: Floats
    by_place: Floats
    by_sd: Floats

    @classmethod
    def of(cls, places: Floats, sd: float) -> _Blur:
        inner = (np.linspace(0, 1, BINS + 1)[1:-1] - places[:, None]) / sd
        density = np.exp(-0.5 * np.square(inner)) / math.sqrt(2 * math.pi)

        def between(edges: Floats, first: float, last: float) -> Floats:
            outer = np.ones((len(places), 1))
            return np.diff(np.concatenate([first * outer, edges, last * outer], 1), axis=1)

        return cls(
            between(ndtr(inner), 0.0, 1.0),
            between(-density / sd, 0.0, 0.0),
            between(-inner * density / sd, 0.0, 0.0),
        )


def _masses(point: tuple[float, ...], multiples: int) -> Floats:
    """The probability of each multiple of the step at each clean signal, `(LEVELS, multiples)`.

    `point`: SD of the Gaussian, strengths of salt and of whole counts, the step.
    """
    sd, salt, poisson, step = point
    x = np.linspace(0, 1, LEVELS)[:, None]
    tail, rate = paper.SCALE * salt, paper.SCALE * poisson
    centre = x - rate * sd**2
    weight = (1 - 2 * tail) * np.exp(-rate * x + 0.5 * (rate * sd) ** 2)
    low = (0 - centre) / sd

    def below(t: Floats) -> Floats:
        """E[max(t - y, 0)] over what is strictly between black and white."""
        t = np.maximum(t, 0)
        high = (np.minimum(t, 1) - centre) / sd
        bell = np.exp(-0.5 * np.square(high)) - np.exp(-0.5 * np.square(low))
        return np.asarray(weight * ((t - centre) * (ndtr(high) - ndtr(low)) + sd * bell / math.sqrt(2 * math.pi)))

    place = step * np.arange(-1.0, multiples + 1)[None]
    masses = np.diff(below(place), n=2, axis=1) / step
    black = tail + (1 - 2 * tail) * ndtr(-x / sd)
    inside = weight * (ndtr((1 - centre) / sd) - ndtr(low))
    white = 1 - black - inside
    masses[:, 0] += black[:, 0]
    first = math.floor(1 / step)  # the multiples that white lies between
    beyond = 1 / step - first
    masses[:, first] += white[:, 0] * (1 - beyond)
    masses[:, first + 1] += white[:, 0] * beyond
    return np.asarray(masses)
