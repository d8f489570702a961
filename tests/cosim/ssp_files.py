"""SSP archives written by hand, as other tools write them."""

from __future__ import annotations

import zipfile
from pathlib import Path

_NAMES = " ".join(
    f'xmlns:{prefix}="http://ssp-standard.org/SSP1/SystemStructure{name}"'
    for prefix, name in {
        "ssd": "Description",
        "ssc": "Common",
        "ssv": "ParameterValues",
        "ssm": "ParameterMapping",
    }.items()
)
UNITS = """
<ssc:Unit name="g/L"><ssc:BaseUnit kg="1" m="-3"/></ssc:Unit>
<ssc:Unit name="mg/L"><ssc:BaseUnit kg="1" m="-3" factor="0.001"/></ssc:Unit>
<ssc:Unit name="K"><ssc:BaseUnit K="1"/></ssc:Unit>
<ssc:Unit name="degC"><ssc:BaseUnit K="1" offset="273.15"/></ssc:Unit>
<ssc:Unit name="kN"><ssc:BaseUnit kg="1" m="1" s="-2" factor="1000"/></ssc:Unit>
<ssc:Unit name="zentner"><ssc:BaseUnit kg="1" m="-3" factor="50"/></ssc:Unit>
<ssc:Unit name="s"><ssc:BaseUnit s="1"/></ssc:Unit>
<ssc:Unit name="ms"><ssc:BaseUnit s="1" factor="0.001"/></ssc:Unit>
"""
EXPERIMENT = '<ssd:DefaultExperiment startTime="0" stopTime="1"/>'


def lag(name: str, fmu: str = "lag", inside: str = "", unit: str = "") -> str:
    """A component with the connectors of a lag."""
    typed = f'<ssc:Real unit="{unit}"/>' if unit else "<ssc:Real/>"
    return f"""<ssd:Component name="{name}" type="application/x-fmu-sharedlibrary" source="resources/{fmu}.fmu">
<ssd:Connectors>
<ssd:Connector name="u" kind="input">{typed}</ssd:Connector>
<ssd:Connector name="y" kind="output">{typed}</ssd:Connector>
<ssd:Connector name="tau" kind="parameter"><ssc:Real/></ssd:Connector>
</ssd:Connectors>{inside}</ssd:Component>"""


def connection(start: str, end: str, inside: str = "", more: str = "") -> str:
    """A connection; an end without a dot is a connector of the system itself."""
    sides = []
    for side, text in (("start", start), ("end", end)):
        owner, _, connector = text.rpartition(".")
        sides.append((f'{side}Element="{owner}" ' if owner else "") + f'{side}Connector="{connector}"')
    return f"<ssd:Connection {sides[0]} {sides[1]} {more}>{inside}</ssd:Connection>"


def linear(factor: float, offset: float) -> str:
    return f'<ssc:LinearTransformation factor="{factor}" offset="{offset}"/>'


def system(name: str, elements: str, connections: str = "", connectors: str = "", bindings: str = "") -> str:
    """A system, at any level."""
    return (
        f'<ssd:System name="{name}">'
        + (f"<ssd:Connectors>{connectors}</ssd:Connectors>" if connectors else "")
        + (f"<ssd:ParameterBindings>{bindings}</ssd:ParameterBindings>" if bindings else "")
        + f"<ssd:Elements>{elements}</ssd:Elements>"
        + (f"<ssd:Connections>{connections}</ssd:Connections>" if connections else "")
        + "</ssd:System>"
    )


def structure(outermost: str, after: str = EXPERIMENT, version: str = "1.0") -> str:
    """An `.ssd`, one element a line where the parts are."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ssd:SystemStructureDescription {_NAMES} version="{version}" name="by hand">\n{outermost}\n'
        f"<ssd:Units>{UNITS}</ssd:Units>{after}</ssd:SystemStructureDescription>\n"
    )


def parameter_set(values: str) -> str:
    """A parameter set with `ssv:Parameter` elements."""
    return (
        f'<ssv:ParameterSet {_NAMES} version="1.0" name="values"><ssv:Parameters>{values}</ssv:Parameters>'
        f"<ssv:Units>{UNITS}</ssv:Units></ssv:ParameterSet>"
    )


def real(name: str, value: float, unit: str = "") -> str:
    unit = f' unit="{unit}"' if unit else ""
    return f'<ssv:Parameter name="{name}"><ssv:Real value="{value}"{unit}/></ssv:Parameter>'


def mapping(entries: str) -> str:
    """A parameter mapping with `ssm:MappingEntry` elements."""
    return f'<ssm:ParameterMapping {_NAMES} version="1.0">{entries}</ssm:ParameterMapping>'


def write_ssp(file: Path, ssd: str, fmus: Path, **more: str) -> Path:
    """An archive with all FMUs of a folder in resources/; ``more`` are further files there, ``name__ext``."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("SystemStructure.ssd", ssd)
        for fmu in fmus.glob("*.fmu"):
            archive.write(fmu, f"resources/{fmu.name}")
        for name, text in more.items():
            archive.writestr(f"resources/{name.replace('__', '.')}", text)
    return file
