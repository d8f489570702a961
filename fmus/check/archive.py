"""The zip archive of an FMU: whole, safe to unpack, readable everywhere."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path

from fmus.check.verdict import Verdict

CHECK = "archive"
_LARGEST = 4 * 2**30
_BOMB_SIZE, _BOMB_RATIO = 100 * 2**20, 200
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def check_archive(file: Path) -> tuple[Verdict, set[str]]:
    """The verdict on the archive, and the names in it; no names if it cannot be read at all."""
    if not zipfile.is_zipfile(file):
        return Verdict.judged(
            CHECK, ["it is no zip archive, or it was cut short: copy or export it again"], [], ""
        ), set()
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            failures, warnings = _problems(entries)
            size = sum(entry.file_size for entry in entries)
            if not failures and (damaged := archive.testzip()) is not None:
                failures.append(f"the content of '{damaged}' fails its checksum")
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError) as error:
        return Verdict.judged(CHECK, [f"it is damaged: {error}"], [], ""), set()
    names = {entry.filename for entry in entries}
    if "modelDescription.xml" not in names:
        failures.append("there is no modelDescription.xml at its root")
    count = sum(not entry.is_dir() for entry in entries)
    return Verdict.judged(CHECK, failures, warnings, f"{count} files, {size / 1024:.0f} KiB unpacked"), names


def _problems(entries: list[zipfile.ZipInfo]) -> tuple[list[str], list[str]]:
    failures, warnings, seen = [], [], set[str]()
    for entry in entries:
        name = entry.orig_filename
        if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
            failures.append(f"'{name}' is an absolute path")
        if ".." in re.split(r"[/\\]", name):
            failures.append(f"'{name}' leads out of the archive")
        if "\\" in name:
            failures.append(f"'{name}' has a backslash: paths must use forward slashes")
        if stat.S_ISLNK(entry.external_attr >> 16):
            failures.append(f"'{name}' is a symbolic link")
        if entry.flag_bits & 1:
            failures.append(f"'{name}' is encrypted")
        if entry.compress_type not in _METHODS:
            failures.append(f"'{name}' is neither stored nor deflated, as the standard asks")
        if name in seen:
            failures.append(f"'{name}' is there twice")
        elif name.lower() in {other.lower() for other in seen}:
            warnings.append(f"'{name}' differs from another name in case only")
        seen.add(name)
    size = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if size > _LARGEST or (size > _BOMB_SIZE and size > _BOMB_RATIO * max(packed, 1)):
        failures.append(f"it unpacks to {size / 2**20:.0f} MiB from {packed / 2**20:.1f} MiB")
    return failures, warnings
