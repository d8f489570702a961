"""System Structure and Parameterization (SSP): systems of FMUs as one file, to and from other tools.

- `write`: a scenario as an `.ssp`, version 1.0 or 2.0. `read`: an `.ssp`, or an `.ssd` in its folder, as a scenario.
- `package`: the archive, unpacked safely. `xml_tree`: its XML with lines, without entities.
- `structure`: what an `.ssd` says. `parameters`: parameter sets and mappings. `units`: their units.
- `arrays`: connections of whole arrays. `flatten`: nested systems as one, connections from component to component.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.ssp.read import read_ssp
    from cosim.ssp.write import VERSIONS, write_ssp

__all__ = ["VERSIONS", "read_ssp", "write_ssp"]

_HOME = {"read_ssp": "read", "write_ssp": "write", "VERSIONS": "write"}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer at once."""
    if name not in _HOME:
        raise AttributeError(f"module 'cosim.ssp' has no attribute '{name}'")
    return getattr(import_module(f"cosim.ssp.{_HOME[name]}"), name)
