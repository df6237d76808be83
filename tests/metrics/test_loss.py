"""The loss of given factors: values whose loss overflows."""

import numpy as np
import pytest
from conftest import random_matrix

from cymbals import ALS

M = random_matrix((60, 40), 0.1, seed=1)


def test_a_loss_that_overflows_is_refused():
    model = ALS(factors=3, objective="explicit", iterations=2, random_state=0, dtype="float64").fit(M)
    with pytest.raises(ValueError, match="loss overflows"):
        model.loss(M.astype(np.float64) * 1e200)
