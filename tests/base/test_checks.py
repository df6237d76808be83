"""Checks of arguments: errors name the argument, also if its value is too large to print."""

from decimal import Decimal
from fractions import Fraction

import pytest
from conftest import SMALL

from cymbals import ALS
from cymbals.base.checks import boolean, generator, instance, one_of, real_number, share, whole_number

HUGE = 10**5000  # more digits than Python prints


@pytest.mark.parametrize(
    "number", [10**400, -(10**400), HUGE, Fraction(10**400), Fraction(-HUGE, 3)], ids=lambda n: type(n).__name__
)
def test_numbers_beyond_a_float_are_refused_by_name(number):
    for call in (real_number, share):
        with pytest.raises(ValueError, match=f"^alpha must be finite; the {type(number).__name__} given is beyond"):
            call("alpha", number)
    for model in (ALS(alpha=number), ALS(regularization=number), ALS(tol=number)):
        with pytest.raises(ValueError, match=r"^(alpha|regularization|tol) must be finite"):
            model.fit(SMALL)
    assert real_number("alpha", Fraction(1, 10**400)) == 0
    assert real_number("alpha", 10**300) == 1e300


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueError, lambda: whole_number("this", HUGE, 0)),
        (TypeError, lambda: whole_number("this", [HUGE], 0)),
        (TypeError, lambda: real_number("this", [HUGE])),
        (TypeError, lambda: real_number("this", Decimal(1))),
        (TypeError, lambda: boolean("this", HUGE)),
        (TypeError, lambda: instance("this", HUGE, str)),
        (ValueError, lambda: one_of("this", HUGE, ("a", "b"))),
    ],
)
def test_arguments_too_large_to_print_are_refused_by_name(error, call):
    with pytest.raises(error, match=r"^this must be .*(got <(int|list) too large to print>|got Decimal)"):
        call()
    for seed in (HUGE, [HUGE]):
        with pytest.raises((TypeError, ValueError), match=r"^random_state must be .* too large to print>"):
            generator(seed)
