"""What people see of an FMU: its documentation page, its icon, its terminals on the icon.

- `documentation_page`: one HTML file with the equations, the variables and where parameters are from.
- `icon_files`: the images, and in FMI 3.0 the terminals, by their names in the FMU.
"""

from __future__ import annotations

from fmus.documentation.files import icon_files
from fmus.documentation.icon import icon_png, icon_svg, terminal_icons
from fmus.documentation.page import documentation_page
from fmus.documentation.terminals import terminals_and_icons_xml

__all__ = [
    "documentation_page",
    "icon_files",
    "icon_png",
    "icon_svg",
    "terminal_icons",
    "terminals_and_icons_xml",
]
