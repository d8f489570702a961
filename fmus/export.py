"""From a unit model to an FMU file: sources, binaries, description, zipped; cached by content."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import platformdirs

from fmus.codegen import (
    IDENTITY,
    RUNTIME,
    UNIT_SOURCES,
    generate_sources,
    main_source,
    unit_functions_quietly,
)
from fmus.errors import GalenicError
from fmus.model import UnitModel
from fmus.model_description import model_description_2
from fmus.model_description_3 import build_description, model_description_3
from fmus.toolchain import (
    Platform,
    chosen_platforms,
    compile_object,
    compile_shared_library,
    compiler_options,
    compiler_version,
    this_platform,
    universal_binary,
)

FMI_VERSIONS = (2, 3)

# unit.c is an object of its own, which the functions of the standard are linked to
_APART = "GALENIC_UNIT_APART"

# a zip entry carries a date; one date for all makes the same model the same file, byte for byte
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def build_fmu(
    model: UnitModel,
    directory: str | Path | None = None,
    *,
    fmi: int = 2,
    platforms: Iterable[str] | None = None,
    on_binary: Callable[[str], None] | None = None,
) -> Path:
    """Build the FMU of ``model``, Co-Simulation and Model Exchange in one file, and return its path.

    Args:
        model: the unit model.
        directory: where the file is written; without one, the user's cache, where an FMU of the same
            equations, runtime, compiler and platforms is found again instead of compiled.
        fmi: 2 for FMI 2.0, ``<name>.fmu``; 3 for FMI 3.0, ``<name>_fmi3.fmu``.
        platforms: FMI 2.0's names of the platforms to build for, any of `fmus.toolchain.PLATFORM_NAMES`; without
            them, this platform.
        on_binary: told the platform of each binary when it is compiled; not called for what the cache has.

    Raises:
        GalenicError: the model is not complete or does not compile, or a platform or version is unknown.
    """
    if fmi not in FMI_VERSIONS:
        raise GalenicError(f"there is no export to FMI {fmi}", cure="2 for FMI 2.0 or 3 for FMI 3.0")
    chosen = [this_platform()] if platforms is None else chosen_platforms(platforms)
    cached = cache_directory() / f"{model.name}-{_cache_key(model, fmi, chosen)}" / file_name(model.name, fmi)
    if not cached.exists():
        write_atomically(cached, _archive(model, fmi, chosen, on_binary))
    if directory is None:
        return cached
    target = Path(directory) / cached.name
    write_atomically(target, cached.read_bytes())
    return target


def file_name(name: str, fmi: int) -> str:
    """What the FMU of a unit is called on disk."""
    return f"{name}.fmu" if fmi == 2 else f"{name}_fmi{fmi}.fmu"


def cache_directory() -> Path:
    """Where built FMUs are kept; the environment variable GALENIC_CACHE overrides the user's cache folder."""
    return Path(os.environ.get("GALENIC_CACHE") or platformdirs.user_cache_dir("galenic")) / "fmus"


def model_hash(model: UnitModel) -> str:
    """A hash of all that the binaries depend on: equations, values, runtime, CasADi, compiler."""
    digest = hashlib.sha256()
    for part in (
        *(repr(v) for v in (*model.variables, *model.terminals)),
        *(f"{s.derivative} {s.initial}" for s in model.states),
        *(f"{a.start} {a.residual}" for a in model.algebraics),
        *(str(expression) for _, expression in (*model.outputs, *model.means)),
        *(f"{e.indicator} {sorted((k, str(v)) for k, v in e.assign.items())}" for e in model.events),
        f"{model.name} {model.description} {model.integrator} {model.relative_tolerance} {model.absolute_tolerance}",
        model.documentation,
        *(f.read_text(encoding="utf-8") for f in sorted(RUNTIME.glob("*.[ch]"))),
        *(f.read_text(encoding="utf-8") for f in _generators()),
        f"{importlib.metadata.version('casadi')} {compiler_version()}",
    ):
        digest.update(part.encode())
    return digest.hexdigest()


def _generators() -> list[Path]:
    """The files whose text decides what is in an FMU."""
    here = Path(__file__).parent
    return sorted([*here.glob("*.py"), *(here / "documentation").glob("*.*")])


def _cache_key(model: UnitModel, fmi: int, platforms: list[Platform]) -> str:
    return hashlib.sha256(f"{model_hash(model)} {fmi} {platforms}".encode()).hexdigest()[:16]


def _archive(model: UnitModel, fmi: int, platforms: list[Platform], on_binary: Callable[[str], None] | None) -> bytes:
    from fmus.documentation import documentation_page, icon_files

    guid = "{" + str(uuid.UUID(model_hash(model)[:32])) + "}"
    functions = unit_functions_quietly(model)
    sources = generate_sources(model, functions, guid, fmi)
    version = importlib.metadata.version("galenic")
    describe = model_description_2 if fmi == 2 else model_description_3
    entries: dict[str, bytes] = {
        "modelDescription.xml": describe(model, functions, guid, version),
        **binaries(model.name, sources, fmi, platforms, on_binary),
        **{f"sources/{name}": text.encode() for name, text in sources.items()},
        "documentation/index.html": documentation_page(model, fmi).encode(),
        **icon_files(model, fmi),
    }
    if fmi == 3:
        entries["sources/buildDescription.xml"] = build_description(model)
    return zipped(entries)


def zipped(entries: Mapping[str, bytes]) -> bytes:
    """A zip file of these entries, name -> content, the same whenever it is made."""
    with tempfile.TemporaryFile() as buffer:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content, zipfile.ZIP_DEFLATED)
        buffer.seek(0)
        return buffer.read()


def binaries(
    name: str,
    sources: Mapping[str, str],
    fmi: int,
    platforms: list[Platform],
    on_binary: Callable[[str], None] | None,
) -> dict[str, bytes]:
    """File name in the FMU -> binary, in the order of ``platforms``; the compilers run side by side."""
    with ThreadPoolExecutor(max_workers=min(len(platforms), os.cpu_count() or 1)) as pool:
        work = {pool.submit(_libraries, sources, main_source(fmi), p, name): p for p in platforms}
        try:
            for done in as_completed(work):
                done.result()
                if on_binary is not None:
                    on_binary(work[done].fmi_name)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        files: dict[str, bytes] = {}
        for compiled, p in work.items():
            slices = compiled.result()
            if fmi == 2:
                whole = slices[0] if len(slices) == 1 else universal_binary(slices)
                files[f"binaries/{p.fmi_name}/{name}{p.suffix}"] = whole
            else:
                files |= {f"binaries/{t}/{name}{p.suffix}": s for t, s in zip(p.tuples, slices, strict=True)}
        return files


def _libraries(sources: Mapping[str, str], main: str, platform: Platform, name: str) -> list[bytes]:
    if IDENTITY not in sources:  # no unit model; what includes unit.c is compiled as a whole
        return compile_shared_library(sources, main, platform, name)
    objects = [_unit_object(sources, main, target, name) for target in platform.targets]
    return compile_shared_library(sources, main, platform, name, [_APART], objects)


def _unit_object(sources: Mapping[str, str], main: str, target: str, name: str) -> bytes:
    """unit.c with the equations compiled, or found in the cache: the same for all versions of FMI."""
    unit = {file: text for file, text in sources.items() if file not in (main, IDENTITY)}
    unit[IDENTITY] = "/* the object serves every description */\n"
    digest = hashlib.sha256(" ".join([*compiler_options(target), compiler_version()]).encode())
    for part in sorted(unit.items()):
        digest.update("\n".join(part).encode())
    cached = cache_directory().parent / "objects" / f"{name}-{digest.hexdigest()[:20]}.o"
    if not cached.exists():
        write_atomically(cached, compile_object(unit, UNIT_SOURCES[0], target, [_APART]))
    return cached.read_bytes()


def write_atomically(target: Path, content: bytes) -> None:
    """Write ``content`` so that ``target`` is either absent, as before, or whole: temporary name, fsync, rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        Path(name).chmod(0o644)  # mkstemp makes it the owner's alone
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
