"""Options are declared once: what is declared has a default and a meaning, and everybody takes the same ones."""

import inspect

import pytest

import jaxscale as js
from jaxscale.engine.ask.options import DEFAULTS, SweepOptions, asked, complete
from jaxscale.engine.forecast.topology import plan_topology


@pytest.mark.parametrize("function", [js.sweep, js.plan, js.check_reproducible, plan_topology])
def test_every_option_is_in_the_signature_and_in_the_documentation(function):
    parameters = inspect.signature(function).parameters
    for name in SweepOptions.__annotations__:
        assert f"\n      {name}: " in function.__doc__, f"{name} is not explained"
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == DEFAULTS.get(name, inspect.Parameter.empty)
    assert "SweepOptions" not in function.__doc__


def test_all_but_the_times_have_a_default():
    assert set(SweepOptions.__annotations__) - set(DEFAULTS) == {"times"}
    whole = complete({"times": [0, 1], "seeds": 3})
    assert set(whole) == set(SweepOptions.__annotations__) and whole["seeds"] == 3 and whole["precision"] == "highest"
    assert not {"store", "progress", "sizes", "budget"} & set(asked(whole)) and {"grid", "times", "width"} <= set(asked(whole))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tmies": [0]}, r"sweep has no option 'tmies'; did you mean 'times'\?"),
        ({"zzz": 1}, r"sweep has no option 'zzz'; choose from \['width'"),
        ({"seeds": 3}, r"sweep needs times=, the steps at which to observe"),
    ],
)
def test_what_is_unknown_or_missing(options, message):
    with pytest.raises(TypeError, match=message):
        js.sweep(lambda: None, **options)


def test_a_plan_takes_what_a_sweep_takes_and_says_so_by_its_own_name():
    with pytest.raises(TypeError, match="plan has no option 'seed'; did you mean 'seeds'"):
        js.plan(lambda: None, seed=3)


@pytest.mark.parametrize("budget", [-1, "long", True, float("nan")])
def test_budgets_that_are_none(budget):
    with pytest.raises(ValueError, match="budget must be a number of seconds, at least 0, or None"):
        js.sweep(lambda: None, times=[0], budget=budget)
