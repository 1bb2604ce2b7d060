"""cBTM: inputs are clustered, each cluster has an expert, and experts are mixed by the distance of
the input from their clusters.

Gururangan et al. 2023, arXiv 2303.14177: tf-idf vectors, k-means; P(token) = sum_j P(j | input)
P_j(token) with P(j | input) proportional to exp(-dist(input, centre_j)^2 / T). They train an expert
on each cluster, and balance cluster sizes. Here the experts are given, so plain k-means clusters
the dev questions into at most as many clusters as experts, and a cluster's expert is the one with
the most right answers on its dev items (on a tie the better one on all of dev, then the first). The
vectors keep all words; the paper drops stop words and numbers and truncates to 100 dimensions by
SVD. Only the question decides, in dev and in use; the paper's P(j | input) follows the growing
text. T = 0.1, as in their released code; all clusters take part, the nearest most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import softmax

from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_rivals.methods.ensembles.answerer import Answerer, LikelihoodAnswerer
from pyswarmopt_rivals.methods.method import Settings
from pyswarmopt_rivals.panel import Pairs

TEMPERATURE = 0.1


class Clusters:
    """tf-idf and k-means of texts; fewer than k clusters if there are fewer distinct texts."""

    def __init__(self, texts: Sequence[str], k: int, seed: int) -> None:
        from sklearn.cluster import KMeans
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectors = TfidfVectorizer(token_pattern=r"(?u)\S+")
        points = self._vectors.fit_transform(texts)
        self._means = KMeans(min(k, len(set(texts))), n_init=4, random_state=seed).fit(points)
        self.labels: np.ndarray = self._means.labels_

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """P(cluster | text), (texts, k)."""
        distances = self._means.transform(self._vectors.transform(texts))
        return np.asarray(softmax(-(distances**2) / TEMPERATURE, axis=1))


def experts_of(labels: np.ndarray, right: np.ndarray) -> list[int]:
    """Each cluster's expert, given the items' clusters, (items,), and whether each expert is right,
    (n, items).

    Example:
        >>> experts_of(np.array([0, 0, 1]), np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]]))
        [1, 1]
    """
    overall = right.mean(1)
    chosen = []
    for cluster in range(int(labels.max()) + 1):
        inside = right[:, labels == cluster].sum(1)
        chosen.append(max(range(len(right)), key=lambda i: (inside[i], overall[i], -i)))
    return chosen


def fit(settings: Settings) -> Answerer:
    """Cluster the dev questions, give each cluster its expert."""
    panel = settings.trial.bench.panel
    dev = settings.trial.bench.labelled
    keys = np.array([item.answer for item in dev.items])
    right = (np.array(panel.answers(dev)) == keys).astype(np.float64)
    clusters = Clusters(questions_of(dev), panel.n, settings.seed)
    chosen = torch.tensor(experts_of(clusters.labels, right))

    def answers(asked: Accuracy) -> list[str]:
        shares = torch.from_numpy(clusters.probabilities(questions_of(asked)))
        by_expert = torch.zeros(len(shares), panel.n).double()
        by_expert.index_add_(1, chosen, shares)
        weights = dict(zip(asked.prompts, by_expert, strict=True))

        def loglikelihood(pairs: Pairs) -> list[float]:
            table = panel.table(pairs)
            of_pairs = torch.stack([weights[prompt] for prompt, _ in pairs])
            return table.loglikelihood(of_pairs[table.owner])

        return LikelihoodAnswerer(loglikelihood).answers(asked)

    return Answerer(answers)


def questions_of(asked: Accuracy) -> list[str]:
    """The text to cluster and to route by: the question, without options and instructions."""
    return [item.question for item in asked.items]
