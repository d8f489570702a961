"""The arguments of the standards' functions, as ctypes wants them; that of the instance comes first."""

from __future__ import annotations

import ctypes as c
from typing import Any

_P, _N, _D, _B, _I = c.c_void_p, c.c_size_t, c.c_double, c.c_bool, c.c_int

#: how a value of each type is held, under the name that the functions have for it
FMI2_TYPES: dict[str, Any] = {"Real": c.c_double, "Integer": c.c_int, "Boolean": c.c_int, "String": c.c_char_p}
FMI3_TYPES: dict[str, Any] = {
    "Float32": c.c_float,
    "Float64": c.c_double,
    "Int8": c.c_int8,
    "UInt8": c.c_uint8,
    "Int16": c.c_int16,
    "UInt16": c.c_uint16,
    "Int32": c.c_int32,
    "UInt32": c.c_uint32,
    "Int64": c.c_int64,
    "UInt64": c.c_uint64,
    "Boolean": c.c_bool,
    "String": c.c_char_p,
    "Binary": c.c_void_p,
    "Clock": c.c_bool,
}

_VECTOR = (_P, _P, _N)
_BOTH: dict[str, tuple[Any, ...]] = {
    "SetTime": (_P, _D),
    "CompletedIntegratorStep": (_P, _I, _P, _P),
    "SetContinuousStates": _VECTOR,
    "GetContinuousStates": _VECTOR,
    "GetNominalsOfContinuousStates": _VECTOR,
    "GetEventIndicators": _VECTOR,
    "GetDerivatives": _VECTOR,
    "GetContinuousStateDerivatives": _VECTOR,
}
_FMI2: dict[str, tuple[Any, ...]] = _BOTH | {
    "Instantiate": (c.c_char_p, _I, c.c_char_p, c.c_char_p, _P, _I, _I),
    "SetDebugLogging": (_P, _I, _N, _P),
    "SetupExperiment": (_P, _I, _D, _D, _I, _D),
    "DoStep": (_P, _D, _D, _I),
    "GetBooleanStatus": (_P, _I, _P),
    "GetRealStatus": (_P, _I, _P),
    "NewDiscreteStates": (_P, _P),
    "GetFMUstate": (_P, _P),
    "SetFMUstate": (_P, _P),
    "FreeFMUstate": (_P, _P),
    "SerializedFMUstateSize": (_P, _P, _P),
    "SerializeFMUstate": (_P, _P, _P, _N),
    "DeSerializeFMUstate": (_P, _P, _N, _P),
    "GetDirectionalDerivative": (_P, _P, _N, _P, _N, _P, _P),
    **{f"{verb}{kind}": (_P, _P, _N, _P) for verb in ("Get", "Set") for kind in FMI2_TYPES},
}
_FMI3: dict[str, tuple[Any, ...]] = _BOTH | {
    "InstantiateCoSimulation": (c.c_char_p, c.c_char_p, c.c_char_p, _B, _B, _B, _B, _P, _N, _P, _P, _P),
    "InstantiateModelExchange": (c.c_char_p, c.c_char_p, c.c_char_p, _B, _B, _P, _P),
    "InstantiateScheduledExecution": (c.c_char_p, c.c_char_p, c.c_char_p, _B, _B, _P, _P, _P, _P, _P),
    "SetDebugLogging": (_P, _B, _N, _P),
    "EnterInitializationMode": (_P, _B, _D, _D, _B, _D),
    "CompletedIntegratorStep": (_P, _B, _P, _P),
    "DoStep": (_P, _D, _D, _B, _P, _P, _P, _P),
    "UpdateDiscreteStates": (_P, _P, _P, _P, _P, _P, _P),
    "GetNumberOfContinuousStates": (_P, _P),
    "GetNumberOfEventIndicators": (_P, _P),
    "GetFMUState": (_P, _P),
    "SetFMUState": (_P, _P),
    "FreeFMUState": (_P, _P),
    "SerializedFMUStateSize": (_P, _P, _P),
    "SerializeFMUState": (_P, _P, _P, _N),
    "DeserializeFMUState": (_P, _P, _N, _P),
    "GetDirectionalDerivative": (_P, _P, _N, _P, _N, _P, _N, _P, _N),
    "GetAdjointDerivative": (_P, _P, _N, _P, _N, _P, _N, _P, _N),
    **{f"{verb}{kind}": (_P, _P, _N, _P, _N) for verb in ("Get", "Set") for kind in FMI3_TYPES},
    "GetBinary": (_P, _P, _N, _P, _P, _N),
    "SetBinary": (_P, _P, _N, _P, _P, _N),
    "GetClock": (_P, _P, _N, _P),
    "SetClock": (_P, _P, _N, _P),
}
_TABLES = {2: _FMI2, 3: _FMI3}


def arguments(version: int, name: str) -> tuple[Any, ...]:
    """The types of a function's arguments; those of one that takes an instance only where none are listed."""
    return _TABLES[version].get(name, (_P,))


INTERMEDIATE_UPDATE = c.CFUNCTYPE(None, _P, _D, _B, _B, _B, _B, c.POINTER(c.c_bool), c.POINTER(c.c_double))
