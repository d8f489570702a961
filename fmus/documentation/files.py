"""The images of an FMU and the description of its terminals, as the files that they are in it."""

from __future__ import annotations

from fmus.documentation.icon import icon_png, icon_svg, terminal_icons
from fmus.documentation.terminals import terminals_and_icons_xml
from fmus.model import UnitModel


def icon_files(model: UnitModel, fmi: int) -> dict[str, bytes]:
    """Path in the FMU -> content, for FMI version ``fmi``, 2 or 3.

    Raises:
        GalenicError: a member of a terminal can be neither set nor handed on.
    """
    if fmi == 2:
        return {"model.png": icon_png(model, marks=True)}
    files = {
        "terminalsAndIcons.xml": terminals_and_icons_xml(model),
        "icon.png": icon_png(model),
        "icon.svg": icon_svg(model).encode(),
        **terminal_icons(model),
    }
    return {f"terminalsAndIcons/{name}": content for name, content in files.items()}
