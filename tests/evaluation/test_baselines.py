"""The baselines: popularity and random rankings."""

import numpy as np
import scipy.sparse as sp
from conftest import random_matrix

from cymbals import ALS
from cymbals.evaluation.baselines import Popularity, Random


def test_popularity_counts_no_dislikes():
    matrix = sp.csr_array(np.array([[1, -1], [1, -1], [0, 2]], np.float32))
    model = Popularity().fit(matrix)
    assert model.popular(2)[1].tolist() == [2.0, 1.0]
    assert model.item_factors_[:, 0].tolist() == [2.0, 1.0]
    assert ALS(2, random_state=0).fit(matrix).popular(2)[1].tolist() == [2.0, 1.0]


def test_baselines_recommend_to_users_who_are_not_in_train():
    matrix = random_matrix((40, 30), 0.3)
    ids, _ = Popularity().fit(matrix).recommend(rows=matrix[:2], n=3)
    assert np.array_equal(ids, Popularity().fit(matrix).recommend([0, 1], 3)[0])
    assert Random().fit(matrix).recommend(rows=matrix[:2], n=3)[0].shape == (2, 3)
