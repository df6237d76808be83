"""What a fit is expected to cost, by the fits that were timed."""

import pytest

from cymbals.choose.costs import Costs, Timing


def test_known_ranks_are_predicted_exactly():
    costs = Costs([Timing(64, 0.1, 0.5, 0.2), Timing(256, 1.0, 0.7, 0.4)])
    assert costs.iteration(64) == 0.1
    assert costs.fit(256, 10) == pytest.approx(0.7 + 10.0)
    assert costs.trial(256, 10) == pytest.approx(0.7 + 10.0 + 0.4)


def test_ranks_between_two_known_ones_follow_a_power():
    costs = Costs([Timing(64, 0.1, 0.0, 0.0), Timing(256, 1.6, 0.0, 0.0)])  # f^2
    assert costs.iteration(128) == pytest.approx(0.4)


def test_higher_ranks_cost_more_than_proportionally_and_lower_ones_less():
    costs = Costs([Timing(128, 1.0, 0.1, 0.2)])
    assert costs.iteration(256) == pytest.approx(2**1.4)
    assert costs.iteration(512) == pytest.approx(2**1.4 * 2**1.8)
    assert costs.iteration(64) == pytest.approx(0.5)
    assert costs.trial(256, 1) == pytest.approx(2**1.4 + 0.1 + 2 * 0.2)
    assert costs.trial(64, 1) == pytest.approx(0.5 + 0.1 + 0.2)


def test_of_several_timings_the_median_counts():
    costs = Costs([Timing(8, seconds, 0.0, 0.0) for seconds in (1.0, 9.0, 2.0)])
    assert costs.iteration(8) == 2.0
    timing = Timing.of(8, 4, {"start": 1.0, "iterations": 8.0, "scoring": 3.0})
    assert timing == Timing(8, 2.0, 1.0, 3.0)


def test_an_iteration_too_short_to_be_timed():
    assert Costs([Timing(8, 0.0, 0.1, 0.1), Timing(64, 1.0, 0.1, 0.1)]).iteration(16) == 1.0
