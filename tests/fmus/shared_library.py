"""What a shared library says about itself: processor, what it needs, what it exports. ELF, PE and Mach-O, 64 bit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from struct import unpack_from


@dataclass
class SharedLibrary:
    """One binary, or one slice of a universal one."""

    machine: str
    needs: set[str] = field(default_factory=set)
    exports: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)  # of the symbols that it needs, ELF only
    name: str = ""  # under which others would link to it, PE and Mach-O
    signature: str = ""  # Mach-O only


def read_libraries(data: bytes) -> list[SharedLibrary]:
    """One library, or the slices of a universal one."""
    if data[:4] == b"\x7fELF":
        return [_elf(data)]
    if data[:2] == b"MZ":
        return [_pe(data)]
    if data[:4] == b"\xcf\xfa\xed\xfe":
        return [_mach_o(data)]
    magic, count = unpack_from(">2I", data)
    assert magic == 0xCAFEBABE
    found = []
    for k in range(count):
        processor, _, offset, size, alignment = unpack_from(">5I", data, 8 + 20 * k)
        assert offset % 2**alignment == 0
        assert offset + size <= len(data)
        assert unpack_from("<I", data, offset + 4)[0] == processor
        found.append(_mach_o(data[offset : offset + size]))
    return found


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()


def _elf(data: bytes) -> SharedLibrary:
    assert data[4:6] == b"\x02\x01"  # 64 bit, little endian
    library = SharedLibrary({62: "x86_64", 183: "aarch64"}[unpack_from("<H", data, 18)[0]])
    (table,) = unpack_from("<Q", data, 40)
    size, count = unpack_from("<2H", data, 58)
    sections = [unpack_from("<2I4Q2I2Q", data, table + k * size) for k in range(count)]
    for _, kind, _, _, start, length, link, info, _, _ in sections:
        names = sections[link][4]
        if kind == 6:  # dynamic
            for at in range(start, start + length, 16):
                tag, value = unpack_from("<2Q", data, at)
                if tag == 1:
                    library.needs.add(_text(data, names + value))
        elif kind == 11:  # dynamic symbols
            for at in range(start, start + length, 24):
                name, binding, _, section = unpack_from("<I2BH", data, at)
                if section and binding >> 4:
                    library.exports.add(_text(data, names + name))
        elif kind == 0x6FFFFFFE:  # versions needed
            at = start
            for _ in range(info):
                _, entries, _, first, following = unpack_from("<2H3I", data, at)
                entry = at + first
                for _ in range(entries):
                    *_, name, step = unpack_from("<I2H2I", data, entry)
                    library.versions.add(_text(data, names + name))
                    entry += step
                at += following
    return library


def _pe(data: bytes) -> SharedLibrary:
    (head,) = unpack_from("<I", data, 0x3C)
    assert data[head : head + 4] == b"PE\0\0"
    machine, count = unpack_from("<2H", data, head + 4)
    (optional_size,) = unpack_from("<H", data, head + 20)
    optional = head + 24
    assert unpack_from("<H", data, optional)[0] == 0x20B  # 64 bit
    sections = [unpack_from("<4I", data, optional + optional_size + 40 * k + 8) for k in range(count)]

    def offset(address: int) -> int:
        return next(address - base + raw for size, base, _, raw in sections if base <= address < base + size)

    library = SharedLibrary({0x8664: "x86_64"}[machine])
    exports, _, imports, _ = unpack_from("<4I", data, optional + 112)
    at = offset(exports)
    library.name = _text(data, offset(unpack_from("<I", data, at + 12)[0]))
    names = offset(unpack_from("<I", data, at + 32)[0])
    for k in range(unpack_from("<I", data, at + 24)[0]):
        library.exports.add(_text(data, offset(unpack_from("<I", data, names + 4 * k)[0])))
    at = offset(imports)
    while name := unpack_from("<I", data, at + 12)[0]:
        library.needs.add(_text(data, offset(name)))
        at += 20
    return library


def _mach_o(data: bytes) -> SharedLibrary:
    magic, processor, _, kind, count = unpack_from("<5I", data)
    assert magic == 0xFEEDFACF
    assert kind == 6  # dynamic library
    library = SharedLibrary({0x1000007: "x86_64", 0x100000C: "aarch64"}[processor])
    at = 32
    for _ in range(count):
        command, size = unpack_from("<2I", data, at)
        if command == 0xC:
            library.needs.add(_text(data, at + unpack_from("<I", data, at + 8)[0]))
        elif command == 0xD:
            library.name = _text(data, at + unpack_from("<I", data, at + 8)[0])
        elif command == 0x80000022:
            library.exports = _exports(data, unpack_from("<I", data, at + 40)[0], 0, "_")
        elif command == 0x1D:
            library.signature = _signature(data, *unpack_from("<2I", data, at + 8))
        at += size
    return library


def _exports(data: bytes, trie: int, node: int, prefix: str) -> set[str]:
    """The names in an export trie, without the underscore that C names have here."""
    size, at = _uleb(data, trie + node)
    found = {prefix.removeprefix("__")} if size else set()
    at += size
    edges, at = data[at], at + 1
    for _ in range(edges):
        label = _text(data, at)
        child, at = _uleb(data, at + len(label) + 1)
        found |= _exports(data, trie, child, prefix + label)
    return found


def _uleb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def _signature(data: bytes, start: int, size: int) -> str:
    """``ad hoc`` if the code directory says so and every page has the hash that it states."""
    blob = data[start : start + size]
    magic, _, entries = unpack_from(">3I", blob)
    assert magic == 0xFADE0CC0
    index = dict(unpack_from(">2I", blob, 12 + 8 * k) for k in range(entries))
    directory = index[0]
    magic, _, _, flags, hashes, _, _, pages, end, width, kind, _, page = unpack_from(">9I4B", blob, directory)
    assert magic == 0xFADE0C02
    assert (width, kind) == (32, 2)  # SHA-256
    for k in range(pages):
        content = data[k << page : min((k + 1) << page, end)]
        at = directory + hashes + 32 * k
        assert hashlib.sha256(content).digest() == blob[at : at + 32], f"page {k}"
    return "ad hoc" if flags & 2 else "signed"
