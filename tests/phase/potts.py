"""The q-state Potts model by Swendsen and Wang's clusters, all seeds at a time: an independent source of transitions.

Swendsen & Wang 1987, Phys. Rev. Lett. 58, 86. On the square lattice K_c = ln(1 + sqrt q), continuous for q = 2 (Ising) and of
first order for q = 10; on the triangular one of q = 2, K_c = ln(3) / 2 in these units, twice Ising's.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

BONDS = {"square": ((0, 1), (1, 0)), "triangular": ((0, 1), (1, 0), (1, 1))}


def potts(q, length, coupling, seeds, *, sweeps=60, every=0, lattice="square", rng=None, ordered=False):
    """Return (records, seeds, q) shares of each state; one record, the last, unless `every` asks for more."""
    rng = rng or np.random.default_rng(0)
    n = length * length
    site = np.arange(n).reshape(length, length)
    a = np.concatenate([site.ravel()] * len(BONDS[lattice]))
    b = np.concatenate([np.roll(site, (-dy, -dx), (0, 1)).ravel() for dy, dx in BONDS[lattice]])
    shift = n * np.arange(seeds)[:, None]
    a, b = (shift + a).ravel(), (shift + b).ravel()
    spin = np.zeros(n * seeds, int) if ordered else rng.integers(0, q, n * seeds)
    half = rng.random(seeds) < 0.5  # half of the seeds start ordered: coexistence is met from both sides
    spin = np.where(np.repeat(half, n), 0, spin)
    records = []
    for sweep in range(1, sweeps + 1):
        tied = (spin[a] == spin[b]) & (rng.random(len(a)) < 1 - np.exp(-coupling))
        graph = coo_matrix((np.ones(tied.sum(), np.int8), (a[tied], b[tied])), shape=(n * seeds, n * seeds))
        count, label = connected_components(graph, directed=False)
        spin = rng.integers(0, q, count)[label]
        if sweep == sweeps or (every and sweep % every == 0 and sweep > sweeps // 3):
            records.append(np.stack([(spin.reshape(seeds, n) == k).mean(axis=1) for k in range(q)], axis=1))
    return np.array(records)


def order(shares):
    """Return (..., seeds) the order parameter (q max share - 1) / (q - 1)."""
    q = shares.shape[-1]
    return (q * shares.max(axis=-1) - 1) / (q - 1)
