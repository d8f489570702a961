"""The functions that the standards ask a binary to export."""

from __future__ import annotations

_FMI2 = """GetTypesPlatform GetVersion SetDebugLogging Instantiate FreeInstance SetupExperiment EnterInitializationMode
    ExitInitializationMode Terminate Reset GetReal GetInteger GetBoolean GetString SetReal SetInteger SetBoolean
    SetString GetFMUstate SetFMUstate FreeFMUstate SerializedFMUstateSize SerializeFMUstate DeSerializeFMUstate
    GetDirectionalDerivative"""
_FMI2_MODEL_EXCHANGE = """EnterEventMode NewDiscreteStates EnterContinuousTimeMode CompletedIntegratorStep SetTime
    SetContinuousStates GetDerivatives GetEventIndicators GetContinuousStates GetNominalsOfContinuousStates"""
_FMI2_CO_SIMULATION = """SetRealInputDerivatives GetRealOutputDerivatives DoStep CancelStep GetStatus GetRealStatus
    GetIntegerStatus GetBooleanStatus GetStringStatus"""
# FMI 3.0 asks for all of them, whatever the kind
_FMI3 = """GetVersion SetDebugLogging InstantiateModelExchange InstantiateCoSimulation InstantiateScheduledExecution
    FreeInstance EnterInitializationMode ExitInitializationMode EnterEventMode Terminate Reset
    GetFloat32 GetFloat64 GetInt8 GetUInt8 GetInt16 GetUInt16 GetInt32 GetUInt32 GetInt64 GetUInt64 GetBoolean GetString
    GetBinary GetClock SetFloat32 SetFloat64 SetInt8 SetUInt8 SetInt16 SetUInt16 SetInt32 SetUInt32 SetInt64 SetUInt64
    SetBoolean SetString SetBinary SetClock GetNumberOfVariableDependencies GetVariableDependencies GetFMUState
    SetFMUState FreeFMUState SerializedFMUStateSize SerializeFMUState DeserializeFMUState GetDirectionalDerivative
    GetAdjointDerivative EnterConfigurationMode ExitConfigurationMode GetIntervalDecimal GetIntervalFraction
    GetShiftDecimal GetShiftFraction SetIntervalDecimal SetIntervalFraction SetShiftDecimal SetShiftFraction
    EvaluateDiscreteStates UpdateDiscreteStates EnterContinuousTimeMode CompletedIntegratorStep SetTime
    SetContinuousStates GetContinuousStateDerivatives GetEventIndicators GetContinuousStates
    GetNominalsOfContinuousStates GetNumberOfEventIndicators GetNumberOfContinuousStates EnterStepMode
    GetOutputDerivatives DoStep ActivateModelPartition"""


def required_functions(version: str, *, co_simulation: bool, model_exchange: bool) -> set[str]:
    """What a binary must export; nothing for a version that is not known here."""
    if version.startswith("3."):
        return {f"fmi3{name}" for name in _FMI3.split()}
    if version != "2.0":
        return set()
    names = _FMI2.split()
    names += _FMI2_CO_SIMULATION.split() if co_simulation else []
    names += _FMI2_MODEL_EXCHANGE.split() if model_exchange else []
    return {f"fmi2{name}" for name in names}
