"""The compiler: clang as the `ziglang` wheel ships it, the same on every machine and for every platform."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fmus.errors import GalenicError, nearest


@dataclass(frozen=True)
class Platform:
    """One platform that FMUs are built for.

    Attributes:
        fmi_name: FMI 2.0's name.
        targets: the compiler's target of each processor.
        suffix: of a shared library.
        tuples: FMI 3.0's names, one for each processor.
    """

    fmi_name: str
    targets: tuple[str, ...]
    suffix: str
    tuples: tuple[str, ...]


# glibc 2.17: every Linux since 2014. macOS 11: the first on arm64. FMI 2.0 has no name for Linux on aarch64: FMI 3.0's
_PLATFORMS = {
    p.fmi_name: p
    for p in (
        Platform("linux64", ("x86_64-linux-gnu.2.17",), ".so", ("x86_64-linux",)),
        Platform("win64", ("x86_64-windows-gnu",), ".dll", ("x86_64-windows",)),
        Platform(
            "darwin64",
            ("x86_64-macos.11.0", "aarch64-macos.11.0"),
            ".dylib",
            ("x86_64-darwin", "aarch64-darwin"),
        ),
        Platform("aarch64-linux", ("aarch64-linux-gnu.2.17",), ".so", ("aarch64-linux",)),
    )
}
PLATFORM_NAMES = tuple(_PLATFORMS)

_MACHINES = {
    ("Linux", "x86_64"): "linux64",
    ("Linux", "aarch64"): "aarch64-linux",
    ("Windows", "AMD64"): "win64",
    ("Darwin", "x86_64"): "darwin64",
    ("Darwin", "arm64"): "darwin64",
}


def this_platform() -> Platform:
    """The platform of this process. Raises GalenicError where no binary can be built for it."""
    key = (platform.system(), platform.machine())
    if key not in _MACHINES:
        known = ", ".join(f"{system} {machine}" for system, machine in _MACHINES)
        raise GalenicError(f"no FMU binary can be built for {key[0]} on {key[1]}", cure=f"supported: {known}")
    return _PLATFORMS[_MACHINES[key]]


def chosen_platforms(names: Iterable[str]) -> list[Platform]:
    """The platforms of these FMI names, each once, in one order whatever the order of ``names``.

    Raises:
        GalenicError: a name is unknown, or there is none.
    """
    wanted = set(names)
    for name in sorted(wanted - set(PLATFORM_NAMES)):
        raise GalenicError(
            f"no FMU binary can be built for the platform '{name}'",
            cure=f"{nearest(name, PLATFORM_NAMES)} Platforms: {', '.join(PLATFORM_NAMES)}",
        )
    if not wanted:
        raise GalenicError("no platform was chosen", cure=f"one or more of {', '.join(PLATFORM_NAMES)}")
    return [p for p in _PLATFORMS.values() if p.fmi_name in wanted]


def compiler_version() -> str:
    """The version of the compiler, part of the key under which binaries are cached."""
    return importlib.metadata.version("ziglang")


def compile_object(sources: Mapping[str, str], main: str, target: str, definitions: Iterable[str] = ()) -> bytes:
    """Compile ``sources[main]``, which includes the others, to an object that `compile_shared_library` takes.

    Args:
        sources: file name -> text.
        main: the file to compile.
        target: the compiler's name of one processor of a platform.
        definitions: macros to define.

    Raises:
        GalenicError: with the compiler's message.
    """
    options = [f"-D{name}" for name in definitions]
    with folder_with(sources) as folder:
        return _compile(folder, [*options, "-c", "-g0", main], "object.o", target)


def compile_shared_library(
    sources: Mapping[str, str],
    main: str,
    target: Platform,
    name: str,
    definitions: Iterable[str] = (),
    objects: Sequence[bytes] = (),
) -> list[bytes]:
    """Compile ``sources[main]``, which includes the others, to the shared library ``name`` of each processor.

    Args:
        sources: file name -> text.
        main: the file to compile.
        target: the platform.
        name: of the library, without suffix.
        definitions: macros to define.
        objects: of `compile_object`, for each processor of the platform one, that are linked to it.

    Raises:
        GalenicError: with the compiler's message.
    """
    options = [f"-D{macro}" for macro in definitions]
    options += ["-shared", "-s", main]
    libraries = []
    with folder_with(sources) as folder:
        for k, processor in enumerate(target.targets):
            library = name + target.suffix
            linked = []
            if objects:
                (folder / "object.o").write_bytes(objects[k])
                linked = ["object.o"]
            if "-macos" in processor:
                linked.append(f"-Wl,-install_name,@rpath/{library}")
            libraries.append(_compile(folder, [*options, *linked, "-lm"], library, processor))
    return libraries


def compiler_options(target: str) -> list[str]:
    """The options that decide what is computed, and for which processor."""
    # -ffp-contract=off: the same arithmetic on every processor
    options = ["-target", target, "-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden"]
    return [*options, "-fno-sanitize=all", "-w"]


def universal_binary(slices: list[bytes]) -> bytes:
    """One Mach-O file of several 64-bit Mach-O files, each for its processor (as Apple's `lipo` joins them)."""
    alignment = 14  # pages of arm64: 2^14 bytes
    header = struct.pack(">2I", 0xCAFEBABE, len(slices))
    body, end = b"", 8 + 20 * len(slices)
    for content in slices:
        start = -(-end // 2**alignment) * 2**alignment
        processor = struct.unpack_from("<2I", content, 4)
        header += struct.pack(">5I", *processor, start, len(content), alignment)
        body += bytes(start - end) + content
        end = start + len(content)
    return header + body


@contextmanager
def folder_with(sources: Mapping[str, str]) -> Iterator[Path]:
    """A temporary folder with files: name -> text."""
    with tempfile.TemporaryDirectory(prefix="galenic-build-") as folder:
        for file, text in sources.items():
            (Path(folder) / file).write_text(text, encoding="utf-8", newline="\n")
        yield Path(folder)


def _compile(folder: Path, arguments: list[str], product: str, target: str) -> bytes:
    return run_compiler(folder, [*compiler_options(target), *arguments], product, f"{product} for {target}")


def run_compiler(folder: Path, arguments: Sequence[str], product: str, what: str) -> bytes:
    """What the compiler makes in a folder.

    Args:
        folder: where the sources are.
        arguments: of the compiler, without the name of the product.
        product: name of the file.
        what: it is, for an error.

    Raises:
        GalenicError: with the compiler's message.
    """
    command = [sys.executable, "-m", "ziglang", "cc", *arguments, "-o", product]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode != 0:
        first = "\n".join((done.stderr or done.stdout).splitlines()[:12])
        raise GalenicError(
            f"compiling {what} failed:\n{first}",
            cure="check that the 'ziglang' package is installed and that the disk is not full",
        )
    return (folder / product).read_bytes()


def _environment() -> dict[str, str]:
    # flags that a user has set for other compilers must not leak into ours
    return {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "CPPFLAGS", "LDFLAGS")}
