"""The estimator and the fitted model: recommending, updating, explaining, storing."""
