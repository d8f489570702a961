"""What a shared library says about itself: processor, libraries that it needs, functions that it exports.

ELF, PE and Mach-O, 32 and 64 bit, little endian. Files from other tools may be damaged: `read_binary` raises
ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import error, unpack_from

_ELF_MACHINES = {3: "x86", 62: "x86_64", 40: "arm", 183: "aarch64", 243: "riscv64"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "x86_64", 0xAA64: "aarch64"}
# load commands that say where the trie of exports lies, and where in them
_MACH_TRIES = {0x22: 40, 0x80000022: 40, 0x80000033: 8}
_MACH_MACHINES = {7: "x86", 0x1000007: "x86_64", 0x100000C: "aarch64"}


@dataclass
class Binary:
    """One library, or one slice of a universal one. ``system`` is linux, windows or darwin."""

    system: str
    machine: str
    needs: set[str] = field(default_factory=set)
    exports: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)


def read_binary(data: bytes) -> list[Binary]:
    """The library in ``data``, or the slices of a universal one. Raises ValueError if there is none."""
    try:
        if data[:4] == b"\x7fELF":
            return [_elf(data)]
        if data[:2] == b"MZ":
            return [_pe(data)]
        if data[:4] in {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"}:
            return [_mach_o(data)]
        if data[:4] == b"\xca\xfe\xba\xbe":
            found = []
            for k in range(min(unpack_from(">I", data, 4)[0], 16)):
                _, _, offset, size, _ = unpack_from(">5I", data, 8 + 20 * k)
                found.append(_mach_o(data[offset : offset + size]))
            return found
    except (error, IndexError, OverflowError, RecursionError) as damage:
        raise ValueError("it is damaged") from damage
    raise ValueError("it is no shared library")


def _text(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset)
    if not 0 <= offset <= end:
        raise IndexError(offset)
    return data[offset:end].decode("utf-8", "replace")


def _elf(data: bytes) -> Binary:
    wide = data[4] == 2
    if data[5] != 1:
        raise ValueError("it is big endian")
    (machine,) = unpack_from("<H", data, 18)
    library = Binary("linux", _ELF_MACHINES.get(machine, f"machine {machine}"))
    (table,) = unpack_from("<Q", data, 40) if wide else unpack_from("<I", data, 32)
    size, count = unpack_from("<2H", data, 58 if wide else 46)
    layout = "<2I4Q2I2Q" if wide else "<10I"
    sections = [unpack_from(layout, data, table + k * size) for k in range(count)]
    pair, pair_size, symbol_size = ("<2Q", 16, 24) if wide else ("<2I", 8, 16)
    for _, kind, _, _, start, length, link, info, _, _ in sections:
        if kind not in {6, 11, 0x6FFFFFFE}:
            continue
        names = sections[link][4]
        if kind == 6:  # dynamic
            for at in range(start, start + length, pair_size):
                tag, value = unpack_from(pair, data, at)
                if tag == 1:
                    library.needs.add(_text(data, names + value))
        elif kind == 11:  # dynamic symbols
            for at in range(start, start + length, symbol_size):
                if wide:
                    name, binding, _, section = unpack_from("<I2BH", data, at)
                else:
                    name, _, _, binding, _, section = unpack_from("<3I2BH", data, at)
                if section and binding >> 4:
                    library.exports.add(_text(data, names + name))
        else:  # versions needed
            at = start
            for _ in range(info):
                _, entries, _, first, following = unpack_from("<2H3I", data, at)
                entry = at + first
                for _ in range(entries):
                    *_, name, step = unpack_from("<I2H2I", data, entry)
                    library.versions.add(_text(data, names + name))
                    entry += step
                    if not step:
                        break
                at += following
                if not following:
                    break
    return library


def _pe(data: bytes) -> Binary:
    (head,) = unpack_from("<I", data, 0x3C)
    if data[head : head + 4] != b"PE\0\0":
        raise ValueError("it is no shared library")
    machine, count = unpack_from("<2H", data, head + 4)
    (optional_size,) = unpack_from("<H", data, head + 20)
    optional = head + 24
    wide = unpack_from("<H", data, optional)[0] == 0x20B
    sections = [unpack_from("<4I", data, optional + optional_size + 40 * k + 8) for k in range(count)]

    def offset(address: int) -> int:
        for size, base, _, raw in sections:
            if base <= address < base + size:
                return int(address - base + raw)
        raise IndexError(address)

    library = Binary("windows", _PE_MACHINES.get(machine, f"machine {machine:#x}"))
    exports, _, imports, _ = unpack_from("<4I", data, optional + (112 if wide else 96))
    if exports:
        at = offset(exports)
        (number,) = unpack_from("<I", data, at + 24)
        if number:
            names = offset(unpack_from("<I", data, at + 32)[0])
            for k in range(number):
                library.exports.add(_text(data, offset(unpack_from("<I", data, names + 4 * k)[0])))
    if imports:
        at = offset(imports)
        while name := unpack_from("<I", data, at + 12)[0]:
            library.needs.add(_text(data, offset(name)))
            at += 20
    return library


def _mach_o(data: bytes) -> Binary:
    magic, processor, _, _, count = unpack_from("<5I", data)
    library = Binary("darwin", _MACH_MACHINES.get(processor, f"processor {processor:#x}"))
    at = 32 if magic == 0xFEEDFACF else 28
    for _ in range(count):
        command, size = unpack_from("<2I", data, at)
        if command in {0xC, 0x80000018, 0x8000001F}:  # a library, weak or re-exported
            library.needs.add(_text(data, at + unpack_from("<I", data, at + 8)[0]))
        elif command in _MACH_TRIES and (trie := unpack_from("<I", data, at + _MACH_TRIES[command])[0]):
            library.exports |= _exports(data, trie, 0, "", set())
        at += size
        if size < 8:
            raise IndexError(at)
    return library


def _exports(data: bytes, trie: int, node: int, prefix: str, seen: set[int]) -> set[str]:
    """The names in an export trie, without the underscore that C names have here."""
    if node in seen:
        raise IndexError(node)
    seen.add(node)
    size, at = _uleb(data, trie + node)
    found = {prefix.removeprefix("_")} if size else set()
    at += size
    edges, at = data[at], at + 1
    for _ in range(edges):
        label = _text(data, at)
        child, at = _uleb(data, at + len(label) + 1)
        found |= _exports(data, trie, child, prefix + label, seen)
    return found


def _uleb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
