"""Which dynamic checks an interface has, and what an FMU must claim for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fmus.check import derivatives, logging, probes, step_mode, structure, values, wrong_calls
from fmus.check.job import CO_SIMULATION, MODEL_EXCHANGE, Job
from fmus.check.library import Library
from fmus.check.probing import Found, Probe


@dataclass(frozen=True)
class Check:
    """A dynamic check. ``needs`` are claims without which it is skipped; ``unless`` says why else it cannot be made.

    It is for one ``version`` and ``interface``, or for all. ``once`` says that the first interface's answer is for all.
    """

    name: str
    probe: Probe
    needs: tuple[str, ...] = ()
    unless: Callable[[Job], str] = lambda _: ""
    version: int | None = None
    interface: str | None = None
    once: bool = False

    def obstacle(self, job: Job) -> str:
        """Why it cannot be made on this FMU; empty if it can."""
        for claim in self.needs:
            if claim not in job.flags:
                return f"the FMU does not claim {_CLAIMS.get(claim, claim) if job.version == 2 else claim}"
        return self.unless(job)


def _of_equations(name: str) -> Probe:
    """A probe of a module that loads numpy, for the check that needs it to wait for."""

    def probe(library: Library) -> Found:
        from fmus.check import equations

        made: Found = getattr(equations, name)(library)
        return made

    return probe


_CLAIMS = {
    "canGetAndSetFMUState": "canGetAndSetFMUstate",
    "canSerializeFMUState": "canSerializeFMUstate",
    "providesDirectionalDerivatives": "providesDirectionalDerivative",
}


def _single(job: Job) -> str:
    alone = "canBeInstantiatedOnlyOncePerProcess" in job.flags
    return "the FMU says that one process holds one instance" if alone else ""


def _no_input(job: Job) -> str:
    return "" if job.of("input", reals=True) else "the FMU has no Real input"


def _no_structure(job: Job) -> str:
    return "" if job.of("structuralParameter") else "the FMU has none"


def _nothing_to_derive(job: Job) -> str:
    return "" if derivatives.knowns(job) and derivatives.unknowns(job) else "there is nothing to derive, or by nothing"


def _no_dependencies(job: Job) -> str:
    return _nothing_to_derive(job) or ("" if job.dependencies else "the model structure lists none")


_CHECKS = (
    Check("instantiation", probes.instantiation),
    Check("other interfaces", probes.other_interfaces, unless=_single, version=3, once=True),
    Check("run", probes.experiment),
    Check("reading and setting", values.reading_and_setting),
    Check("structural parameters", structure.structural_parameters, unless=_no_structure, version=3),
    Check("logging", logging.logging),
    Check("state machine", probes.state_machine),
    Check("wrong calls", wrong_calls.wrong_calls),
    Check("get and set state", probes.fmu_state, ("canGetAndSetFMUState",)),
    Check("serialised state", probes.serialisation, ("canSerializeFMUState",)),
    Check(
        "variable step",
        step_mode.variable_step,
        ("canHandleVariableCommunicationStepSize",),
        interface=CO_SIMULATION,
    ),
    Check("event mode", step_mode.event_mode, ("hasEventMode",), version=3, interface=CO_SIMULATION),
    Check(
        "intermediate update",
        step_mode.intermediate_update,
        ("providesIntermediateUpdate",),
        version=3,
        interface=CO_SIMULATION,
    ),
    Check("continuous states", _of_equations("continuous_states"), interface=MODEL_EXCHANGE),
    Check("two instances", probes.two_instances, unless=_single),
    Check("NaN input", probes.nan_input, unless=_no_input),
    Check(
        "derivatives",
        derivatives.derivatives,
        ("providesDirectionalDerivatives",),
        unless=_nothing_to_derive,
        interface=CO_SIMULATION,
    ),
    Check(
        "derivatives",
        _of_equations("derivatives"),
        ("providesDirectionalDerivatives",),
        unless=_nothing_to_derive,
        interface=MODEL_EXCHANGE,
    ),
    Check(
        "adjoint derivatives",
        derivatives.adjoints,
        ("providesAdjointDerivatives", "providesDirectionalDerivatives"),
        unless=_nothing_to_derive,
        version=3,
    ),
    Check("dependencies", _of_equations("dependencies"), unless=_no_dependencies, interface=MODEL_EXCHANGE),
)

#: Every dynamic check by name.
NAMES = tuple(check.name for check in _CHECKS)


def checks(version: int, interface: str, *, first: bool = True) -> dict[str, Check]:
    """The dynamic checks of an interface, by name, in order. ``first`` says that no other comes before it."""
    return {
        check.name: check
        for check in _CHECKS
        if check.version in {None, version} and check.interface in {None, interface} and (first or not check.once)
    }
