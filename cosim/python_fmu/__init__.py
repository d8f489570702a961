"""Components that have to be Python, as FMI 2.0 Co-Simulation FMUs, through PythonFMU.

- `build_python_fmu`: a class in a file. `build_controller_fmus`: a scenario's own controllers.
- `build_python_fmus`: both, for whatever `galenic export` was given.
- `is_python_component`: whether ``file.py:Class`` is such a class.
- `component`: what goes into the FMU. `imports`: whether it states all that it imports. `description`: what it says.
- `slave`: what runs in the FMU. `requirements`: what it lacks where it runs.
- `front.c`: what stands between an importer and PythonFMU's library.
"""

from __future__ import annotations

from cosim.python_fmu.export import build_controller_fmus, build_python_fmu, build_python_fmus, is_python_component

__all__ = ["build_controller_fmus", "build_python_fmu", "build_python_fmus", "is_python_component"]
