"""Parameter bindings: values from parameter sets (SSV), renamed and transformed by parameter mappings (SSM)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cosim.ssp.package import Package
from cosim.ssp.units import Unit, defined_units
from cosim.ssp.xml_tree import Element

_REALS = ("Real", "Float64", "Float32")
_INTEGERS = ("Integer", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64")
_TABLES = ("BooleanMappingTransformation", "IntegerMappingTransformation", "EnumerationMappingTransformation")
_SET = "application/x-ssp-parameter-set"
_MAPPING = "application/x-ssp-parameter-mapping"


@dataclass(frozen=True)
class Assignment:
    """A value for a variable: ``factor * value + offset``, after ``value`` was converted from ``unit``.

    Args:
        name: of the variable, from where the binding stands: ``component.variable`` in a system.
        kind: ``real``, ``integer``, ``boolean``, ``enumeration`` or ``string``.
        value: a number, or the text of an enumeration's item or of a string.
        unit: None where it is the variable's own.
        element: where it is said.
    """

    name: str
    kind: str
    value: float | str
    unit: Unit | None
    element: Element
    factor: float = 1.0
    offset: float = 0.0
    convert_units: bool = True


def read_bindings(owner: Element, package: Package) -> list[Assignment]:
    """All assignments of a system's or component's parameter bindings, later ones last.

    Args:
        owner: the element that has ``ParameterBindings``.
        package: for sets and mappings in files of their own.

    Raises:
        GalenicError: a file is missing or wrong, or of a kind that is not SSP's.
    """
    found: list[Assignment] = []
    for binding in owner.below("ParameterBindings", "ParameterBinding"):
        _check_kind(binding, _SET)
        values = _values(_content(binding, package, "ParameterValues", "ParameterSet"))
        prefix = binding.attributes.get("prefix", "")
        values = [replace(value, name=prefix + value.name) for value in values]
        mapping = binding.child("ParameterMapping")
        if mapping is not None:
            _check_kind(mapping, _MAPPING)
            values = list(_mapped(values, _content(mapping, package, None, "ParameterMapping")))
        found += values
    return found


def _check_kind(element: Element, expected: str) -> None:
    given = element.attributes.get("type", expected)
    if given != expected:
        raise element.error(f"parameters of type '{given}' cannot be read", f"write them as {expected}")
    if element.attributes.get("sourceBase", "SSD") != "SSD":
        raise element.error("parameters within a component's file cannot be read", "copy the file into resources/")


def _content(element: Element, package: Package, holder: str | None, tag: str) -> Element:
    """The root of a parameter set or mapping: from its file, or inline (within ``holder`` where there is one)."""
    source = element.attributes.get("source")
    if source is not None:
        root = package.xml(source, element)
        if root.tag != tag:
            raise root.error(f"this file is no <{tag}>", "correct the source")
        return root
    within = element.child(holder) if holder is not None else element
    inline = within.child(tag) if within is not None else None
    if inline is None:
        raise element.error(f"<{element.tag}> has neither a source nor a <{tag}> inside", 'add source="..."')
    return inline


def _values(root: Element) -> list[Assignment]:
    units = defined_units(root)
    values = []
    for parameter in root.below("Parameters", "Parameter"):
        name = parameter.required("name")
        if parameter.child("Dimension") is not None:
            raise parameter.error(f"'{name}' is an array, which cannot be read", "give its elements one by one")
        typed = next(parameter.all(*_REALS, *_INTEGERS, "Boolean", "Enumeration", "String", "Binary"), None)
        if typed is None:
            raise parameter.error(f"'{name}' has no value", "add <ssv:Real value=.../>, for example")
        values.append(_value(name, typed, units))
    return values


def _value(name: str, typed: Element, units: dict[str, Unit]) -> Assignment:
    if typed.tag in _REALS:
        return Assignment(name, "real", typed.number("value"), unit_named(typed, units), typed)
    if typed.tag in _INTEGERS:
        return Assignment(name, "integer", float(round(typed.number("value"))), None, typed)
    if typed.tag == "Boolean":
        return Assignment(name, "boolean", float(typed.truth("value")), None, typed)
    if typed.tag == "Binary":
        raise typed.error(f"'{name}' is binary, which cannot be set", "remove it")
    return Assignment(name, typed.tag.lower(), typed.attributes.get("value", ""), None, typed)


def unit_named(typed: Element, units: dict[str, Unit]) -> Unit | None:
    """The unit of an element with the attribute ``unit``. Raises where its file does not define it."""
    name = typed.attributes.get("unit")
    if not name:
        return None
    if name not in units:
        raise typed.error(f"the unit '{name}' is not defined in this file", "add it to <Units>")
    return units[name]


def _mapped(values: Iterable[Assignment], mapping: Element) -> Iterator[Assignment]:
    """Only what the mapping names, under its new name, in the order of the mapping."""
    by_name = {value.name: value for value in values}
    for entry in mapping.all("MappingEntry"):
        value = by_name.get(entry.required("source"))
        if value is None:
            continue
        factor, offset = transformation(entry)
        if (factor, offset) != (1.0, 0.0) and value.kind != "real":
            raise entry.error(f"'{value.name}' is {value.kind}, which takes no factor or offset", "remove them")
        yield replace(
            value,
            name=entry.required("target"),
            factor=factor,
            offset=offset,
            convert_units=not entry.truth("suppressUnitConversion", False),
        )


def transformation(owner: Element) -> tuple[float, float]:
    """Factor and offset of a connection or mapping entry.

    Raises:
        GalenicError: a mapping table of boolean, integer or enumeration values.
    """
    for table in owner.all(*_TABLES):
        raise table.error(f"<{table.tag}> cannot be applied", "map the values within a component")
    linear = owner.child("LinearTransformation")
    return (1.0, 0.0) if linear is None else (linear.number("factor", 1.0), linear.number("offset", 0.0))
