"""From a scenario's MPC to an FMU file: tables, fixed C, binaries, description, page."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from controllers.export.c_tables import CTables
from controllers.export.description import controller_build_description, controller_description
from controllers.export.interface import Interface, model_header, mpc_interface
from controllers.export.ladder_tables import ladder_tables
from controllers.export.linear_tables import linear_tables
from controllers.export.nonlinear_tables import nonlinear_tables
from controllers.export.page import controller_icon, controller_page
from controllers.export.source import ExportedMPC
from controllers.linear.law import LinearLaw
from fmus.codegen import RUNTIME as UNIT_RUNTIME
from fmus.codegen import UNIT_SOURCES, main_source
from fmus.errors import GalenicError
from fmus.export import FMI_VERSIONS, binaries, file_name, write_atomically, zipped
from fmus.toolchain import chosen_platforms, compiler_version, this_platform

RUNTIME = Path(__file__).parent / "runtime"
_FIXED = ("equations.c", "quadratic_program.c", "ladder.c", "controller.c")
_LINEAR = ("linear_law.c",)
_NONLINEAR = ("extended_kalman_filter.c", "stage_program.c", "steady_target.c", "harvest.c", "nonlinear_law.c")


@dataclass(frozen=True)
class ControllerModel:
    """A controller as C: what `build_controller_fmu` writes.

    Attributes:
        name: C identifier.
        description: one sentence.
        mpc: the controller.
        interface: variables.
        tables: tables.h.
        memory: start values of the hidden states.
        functions: generated C of a nonlinear model; empty for a linear one.
    """

    name: str
    description: str
    mpc: ExportedMPC
    interface: Interface
    tables: CTables
    memory: tuple[float, ...]
    functions: str = ""

    def sources(self, guid: str, fmi: int) -> dict[str, str]:
        """File name -> text of everything that is compiled."""
        law = {"functions.c": self.functions} if self.functions else {}
        used = [*_FIXED, *(_NONLINEAR if law else _LINEAR)]
        fixed = {name: (RUNTIME / name).read_text(encoding="utf-8") for name in used}
        unit = {name: (UNIT_RUNTIME / name).read_text(encoding="utf-8") for name in (main_source(fmi), *UNIT_SOURCES)}
        return {
            **unit,
            **fixed,
            **law,
            "tables.h": self.tables.text("GALENIC_TABLES_H", "generated: sizes and tables of one law"),
            "model.h": model_header(self.name, guid, self.interface, self.memory),
        }

    def guid(self) -> str:
        """Of all that the binaries depend on."""
        digest = hashlib.sha256(f"{self.name} {self.description} {compiler_version()}".encode())
        for fmi in FMI_VERSIONS:
            for text in self.sources("", fmi).values():
                digest.update(text.encode())
        return "{" + str(uuid.UUID(digest.hexdigest()[:32])) + "}"


def controller_model(name: str, description: str, mpc: ExportedMPC) -> ControllerModel:
    """The C of an MPC. Raises GalenicError where ``name`` is no C identifier."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise GalenicError(f"'{name}' cannot name a model", cure="use letters, digits and underscores")
    tables = CTables()
    functions = ""
    if isinstance(mpc.law, LinearLaw):
        linear_tables(mpc.law, tables)
    tables.integers(CONTROLLED_OUTPUT=mpc.controlled)
    interface, told = mpc_interface(mpc, tables)
    if isinstance(mpc.law, LinearLaw):
        states = int(tables.sizes["N_S"])
        remembered = [0.0] * (states + states**2 + len(mpc.measured))
    else:
        functions, remembered = nonlinear_tables(mpc.law, tables, told, mpc.schedules)
    ladder = ladder_tables(mpc.law, mpc.rules, mpc.period, tables) + int(tables.sizes["N_STAGES"]) * (
        len(mpc.targets) + 1
    )
    before = [0.0] * (9 + len(mpc.targets) + 7 * len(mpc.measured) + 2 * len(mpc.references) + ladder)
    memory = [*before, *(v.start or 0.0 for v in interface.outputs), *remembered]
    return ControllerModel(name, description, mpc, interface, tables, tuple(memory), functions)


def build_controller_fmu(
    model: ControllerModel,
    directory: str | Path,
    *,
    fmi: int = 2,
    platforms: Iterable[str] | None = None,
    on_binary: Callable[[str], None] | None = None,
) -> Path:
    """Write the FMU of ``model`` and return its path.

    Args:
        model: the controller.
        directory: where the file is written.
        fmi: 2 or 3.
        platforms: names of `fmus.toolchain.PLATFORM_NAMES`; this platform without them.
        on_binary: told the platform of each binary.

    Raises:
        GalenicError: an unknown platform or version, or it does not compile.
    """
    if fmi not in FMI_VERSIONS:
        raise GalenicError(f"there is no export to FMI {fmi}", cure="2 for FMI 2.0 or 3 for FMI 3.0")
    chosen = [this_platform()] if platforms is None else chosen_platforms(platforms)
    guid, version = model.guid(), importlib.metadata.version("galenic")
    sources = model.sources(guid, fmi)
    slots = model.interface.slots(len(model.memory))
    entries: dict[str, bytes] = {
        "modelDescription.xml": controller_description(
            fmi, model.name, guid, model.description, version, model.mpc.period, slots
        ),
        **binaries(model.name, sources, fmi, chosen, on_binary),
        **{f"sources/{name}": text.encode() for name, text in sources.items()},
        "documentation/index.html": controller_page(model.name, model.description, model.mpc, slots, fmi).encode(),
        **controller_icon(model.name, model.interface, fmi),
    }
    if fmi == 3:
        entries["sources/buildDescription.xml"] = controller_build_description(model.name)
    target = Path(directory) / file_name(model.name, fmi)
    write_atomically(target, zipped(entries))
    return target
