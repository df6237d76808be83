"""The estimator `ALS` and the fitted model, which recommends, updates, explains and is stored in a file."""
