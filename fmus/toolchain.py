"""The compiler: clang as the `ziglang` wheel ships it, the same on every machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fmus.errors import GalenicError


@dataclass(frozen=True)
class Platform:
    """FMI's name of a platform, the compiler's target and the suffix of a shared library."""

    fmi_name: str
    target: str
    suffix: str


_PLATFORMS = {
    ("Linux", "x86_64"): Platform("linux64", "x86_64-linux-gnu.2.17", ".so"),
    ("Linux", "aarch64"): Platform("aarch64-linux", "aarch64-linux-gnu.2.17", ".so"),
    ("Windows", "AMD64"): Platform("win64", "x86_64-windows-gnu", ".dll"),
    ("Darwin", "x86_64"): Platform("darwin64", "x86_64-macos", ".dylib"),
    ("Darwin", "arm64"): Platform("darwin64", "aarch64-macos", ".dylib"),
}


def this_platform() -> Platform:
    """The platform of this process. Raises GalenicError where no binary can be built for it."""
    key = (platform.system(), platform.machine())
    if key not in _PLATFORMS:
        known = ", ".join(f"{system} {machine}" for system, machine in _PLATFORMS)
        raise GalenicError(f"no FMU binary can be built for {key[0]} on {key[1]}", cure=f"supported: {known}")
    return _PLATFORMS[key]


def compiler_version() -> str:
    """The version of the compiler, part of the key under which binaries are cached."""
    return importlib.metadata.version("ziglang")


def compile_shared_library(sources: dict[str, str], main: str, target: Platform) -> bytes:
    """Compile ``sources[main]``, which includes the others, to a shared library and return its bytes.

    Raises:
        GalenicError: with the compiler's message.
    """
    with tempfile.TemporaryDirectory(prefix="galenic-build-") as folder:
        for name, text in sources.items():
            (Path(folder) / name).write_text(text, encoding="utf-8", newline="\n")
        library = Path(folder) / f"library{target.suffix}"
        # -ffp-contract=off: the same arithmetic on every processor
        command = [
            *(sys.executable, "-m", "ziglang", "cc", "-target", target.target, "-std=c11", "-O2", "-ffp-contract=off"),
            *(
                "-shared",
                "-fPIC",
                "-fvisibility=hidden",
                "-fno-sanitize=all",
                "-s",
                "-w",
                main,
                "-o",
                library.name,
                "-lm",
            ),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode != 0:
            first = "\n".join((done.stderr or done.stdout).splitlines()[:12])
            raise GalenicError(
                f"compiling {main} for {target.target} failed:\n{first}",
                cure="check that the 'ziglang' package is installed and that the disk is not full",
            )
        return library.read_bytes()


def _environment() -> dict[str, str]:
    # flags that a user has set for other compilers must not leak into the FMU
    return {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "CPPFLAGS", "LDFLAGS")}
