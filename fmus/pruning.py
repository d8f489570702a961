"""Removes from generated C what no caller asks for.

CasADi's integrators with events take the second derivative of the whole DAE to have that of the event indicators, and
leave its other results out: of some units half of the code, which would be compiled and evaluated for nothing.
What is left computes the same numbers in the same order.
"""

from __future__ import annotations

import re

_FUNCTION = re.compile(r"static int (casadi_f\d+)\(const casadi_real\*\* arg, casadi_real\*\* res,")
_MENTION = re.compile(r"\b(casadi_f\d+)\b")
_CALL = re.compile(r"\s*if \((casadi_f\d+)\(arg1, res1, iw, w, 0\)\) return 1;")
_DEFINITION = re.compile(r"#define (casadi_f\d+) CASADI_PREFIX\(f\d+\)")
_PLACE = re.compile(r"\s*res1\[(\d+)\]=(.*);")
# the statements of a function without calls and branches; others leave a function as it is
_RESULT = re.compile(r"  if \(res\[(\d+)\]!=0\) res\[\d+\]\[\d+\]=(.*);")
_ASSIGNMENT = re.compile(r"  (a\d+)=(.*);")
_HARMLESS = re.compile(r"  casadi_real a[\da, ]*;|  return 0;")
_VARIABLE = re.compile(r"\ba\d+\b")


def prune(source: str) -> str:
    """``source``, C that CasADi generated, without the statements whose results no caller takes."""
    lines = source.split("\n")
    begins = {match[1]: i for i, line in enumerate(lines) if (match := _FUNCTION.match(line))}
    dropped: set[int] = set()
    for name, refused in _refused_results(lines, begins).items():
        begin = begins[name] + 1
        dropped |= _unwanted(lines, range(begin, lines.index("}", begin)), refused)
    return "\n".join(line for i, line in enumerate(lines) if i not in dropped)


def _refused_results(lines: list[str], begins: dict[str, int]) -> dict[str, set[int]]:
    """Of each function: the numbers of the results for which every call hands over a null pointer."""
    refused: dict[str, set[int]] = {}
    for i, line in enumerate(lines):
        for name in _MENTION.findall(line) if "casadi_f" in line else ():
            if name not in begins or begins[name] == i or _DEFINITION.fullmatch(line):
                continue
            null = _null_results(lines, i) if _CALL.fullmatch(line) else set()
            refused[name] = refused.get(name, null) & null
    return {name: results for name, results in refused.items() if results}


def _null_results(lines: list[str], call: int) -> set[int]:
    """The results that the call in this line refuses, as the lines just before it say."""
    null = set()
    for i in range(call - 1, -1, -1):
        match = _PLACE.fullmatch(lines[i])
        if match is None:
            break
        if match[2] == "0":
            null.add(int(match[1]))
    return null


def _unwanted(lines: list[str], body: range, refused: set[int]) -> set[int]:
    """The lines of a function's ``body`` that can go where the results ``refused`` are not wanted."""
    dropped: set[int] = set()
    live: set[str] = set()
    for i in reversed(body):
        if result := _RESULT.fullmatch(lines[i]):
            if int(result[1]) in refused:
                dropped.add(i)
            else:
                live.update(_VARIABLE.findall(result[2]))
        elif assignment := _ASSIGNMENT.fullmatch(lines[i]):
            if assignment[1] in live:
                live.discard(assignment[1])
                live.update(_VARIABLE.findall(assignment[2]))
            else:
                dropped.add(i)
        elif not _HARMLESS.fullmatch(lines[i]):
            return set()
    return dropped
