"""Compiles a solver's C source once for this machine, and finds HPIPM in the CasADi wheel."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import casadi

from fmus.errors import GalenicError
from fmus.export import cache_directory, write_atomically
from fmus.toolchain import compiler_version, folder_with, run_compiler, this_platform


def casadi_folder() -> Path:
    """Where the CasADi wheel keeps its libraries; ``include`` beside them holds the headers."""
    return Path(casadi.__file__).parent


@cache
def hpipm_library() -> ctypes.CDLL:
    """HPIPM as the CasADi wheel ships it.

    Raises:
        GalenicError: this CasADi has none, or comes without headers.
    """
    folder = casadi_folder()
    names = [f"{prefix}hpipm{suffix}" for prefix in ("lib", "") for suffix in (".so", ".dylib", ".dll")]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found or not (folder / "include" / "hpipm_d_ocp_qp_ipm.h").is_file():
        raise GalenicError(
            f"the CasADi in {folder} brings no HPIPM", cure="install casadi from its wheel, or use another engine"
        )
    if sys.platform == "win32":
        with os.add_dll_directory(str(folder)):
            return ctypes.CDLL(str(found[0]))
    return ctypes.CDLL(str(found[0]))


def load_compiled(source: str, name: str, *, for_this_processor: bool = False) -> tuple[ctypes.CDLL, bool]:
    """The library of a C source that may include HPIPM's headers, and whether it had to be compiled.

    It is kept under a key of the source, the headers' version, the compiler and the processor's kind.

    Args:
        source: of the library.
        name: of its file.
        for_this_processor: use all instructions that it has, where that is known.

    Raises:
        GalenicError: with the compiler's message.
    """
    target = this_platform()
    machine = 1 if len(target.targets) > 1 and platform.machine() == "arm64" else 0
    abilities = _abilities() if for_this_processor else ""
    options = [*_options(target.targets[machine]), *(["-mcpu=native"] if abilities else [])]
    key_of = (source, *options, abilities, casadi.CasadiMeta.version(), compiler_version())
    key = hashlib.sha256("\n".join(key_of).encode()).hexdigest()[:20]
    file = cache_directory().parent / "optimal_control" / f"{name}-{key}{target.suffix}"
    missing = not file.is_file()
    if missing:
        write_atomically(file, _compile(source, options, target.suffix))
    return ctypes.CDLL(str(file)), missing


def link_hpipm(library: Any) -> None:
    """Give a compiled solver the addresses of HPIPM's functions."""
    hpipm = hpipm_library()
    library.galenic_rti_symbol.restype = ctypes.c_char_p
    library.galenic_rti_symbol.argtypes = (ctypes.c_int64,)
    addresses: list[int | None] = []
    while (symbol := library.galenic_rti_symbol(len(addresses))) is not None:
        try:
            addresses.append(ctypes.cast(getattr(hpipm, symbol.decode()), ctypes.c_void_p).value)
        except AttributeError as error:
            raise GalenicError(
                f"HPIPM of CasADi {casadi.CasadiMeta.version()} has no function '{symbol.decode()}'",
                cure="install casadi 3.8, or use another engine",
            ) from error
    library.galenic_rti_link((ctypes.c_void_p * len(addresses))(*addresses))


def _options(target: str) -> list[str]:
    return ["-target", target, "-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-fno-sanitize=all"]


def _abilities() -> str:
    """Instruction sets of this processor, or nothing: a library made for one must not be found by another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(source: str, options: list[str], suffix: str) -> bytes:
    # the headers are named from the folder, whatever characters its path has
    arguments = [*options, "-w", "-s", "-I", str(casadi_folder() / "include"), "solver.c", "-lm"]
    with folder_with({"solver.c": source}) as folder:
        return run_compiler(folder, arguments, "solver" + suffix, f"the solver for {options[1]}")
