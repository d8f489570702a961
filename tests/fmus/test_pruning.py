from __future__ import annotations

import pytest

import fmus
from fmus import codegen
from fmus.pruning import prune

FUNCTION = """\
#define casadi_f1 CASADI_PREFIX(f1)
/* inner:(i0)->(o0,o1) */
static int casadi_f1(const casadi_real** arg, casadi_real** res, casadi_int* iw, casadi_real* w, int mem) {
  casadi_real a0, a1, a2, a3;
  a0=arg[0]? arg[0][0] : 0;
  a1=(a0*a0);
  a2=(a1+a0);
  if (res[0]!=0) res[0][0]=a2;
  a3=exp(a0);
  a3=(a3*a1);
  if (res[1]!=0) res[1][0]=a3;
  return 0;
}

static int casadi_f0(const casadi_real** arg, casadi_real** res, casadi_int* iw, casadi_real* w, int mem) {
"""
BOTH, FIRST, SECOND = (
    f"  res1[0]={first};\n  res1[1]={second};\n  if (casadi_f1(arg1, res1, iw, w, 0)) return 1;\n"
    for first, second in (("w01", "(&w02)"), ("w01", "0"), ("0", "(&w02)"))
)
END = "  return 0;\n}\n"


def dropped(calls: str) -> list[str]:
    """What is left out of the inner function where it is called like that."""
    before, after = (FUNCTION + calls + END).split("\n"), prune(FUNCTION + calls + END).split("\n")
    missing = [line.strip() for line in before if line not in after]
    assert [line for line in before if line.strip() not in missing] == after
    return missing


@pytest.mark.parametrize(
    ("calls", "missing"),
    [
        (FIRST, ["a3=exp(a0);", "a3=(a3*a1);", "if (res[1]!=0) res[1][0]=a3;"]),
        (FIRST + FIRST, ["a3=exp(a0);", "a3=(a3*a1);", "if (res[1]!=0) res[1][0]=a3;"]),
        (SECOND, ["a2=(a1+a0);", "if (res[0]!=0) res[0][0]=a2;"]),
    ],
)
def test_what_leads_to_a_result_that_no_call_takes_is_left_out(calls: str, missing: list[str]) -> None:
    assert dropped(calls) == missing


@pytest.mark.parametrize(
    "calls",
    [
        BOTH,
        FIRST + SECOND,
        FIRST + "  if (casadi_f1(arg+5, res+1, iw, w+8, 0)) return 1;\n",
        FIRST + "  return casadi_f1(arg, res, iw, w, mem);\n",
        FIRST + "  d->f = casadi_f1;\n",
        FIRST.replace("  if", "  w03 = 1.;\n  if"),
        FIRST.replace("res1", "res2"),
    ],
)
def test_a_function_of_which_some_call_may_want_everything_stays_whole(calls: str) -> None:
    assert dropped(calls) == []


def test_a_function_with_other_statements_stays_whole() -> None:
    branching = FUNCTION.replace("  a3=exp(a0);\n", "  if (a0>0) a3=exp(a0);\n") + FIRST + END
    assert prune(branching) == branching


def test_of_a_unit_with_events_the_second_derivatives_of_its_rates_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = fmus.unit_model("loss_in_weight_feeder")
    functions = codegen.unit_functions_quietly(model)
    pruned = codegen.generate_sources(model, functions, "{}", 2)["equations.c"].split("\n")
    monkeypatch.setattr(codegen, "prune", lambda source: source)
    whole = codegen.generate_sources(model, functions, "{}", 2)["equations.c"].split("\n")
    rest = iter(whole)
    assert all(line in rest for line in pruned)  # in this order
    assert len(pruned) < 0.9 * len(whole)
