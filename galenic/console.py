"""What the command line prints through: one console, errors on one screen, text that every terminal can show."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from fmus.errors import GalenicError

_QUOTED_LINES = 3
_LONGEST_QUOTE = 110


def make_printable(*streams: TextIO) -> None:
    """Let a terminal with a small character set show a replacement instead of ending the program."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def output() -> Console:
    """The console for results."""
    return Console(highlight=False)


def messages() -> Console:
    """The console for errors and notes: standard error, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def show_error(error: GalenicError) -> None:
    """Print an error on one screen: where, what, the source line, the cure."""
    parts: list[RenderableType] = []
    if error.file is not None:
        parts.append(Text(_shorten(error.file) + (f":{error.line}" if error.line is not None else ""), "bold"))
    parts.append(Text(error.message))
    quote = _quote(error.file, error.line)
    if quote is not None:
        parts += [Text(), quote]
    if error.cure:
        parts += [Text(), Text.assemble(("Cure: ", "bold green"), error.cure[:1].upper() + error.cure[1:])]
    messages().print(Panel(Group(*parts), title="Error", title_align="left", border_style="red"))


def show_bug(error: BaseException) -> None:
    """Print what a defect of Galenic, not of the user's input, says."""
    first = (str(error).splitlines() or [""])[0]
    text = Text.assemble(
        (f"{type(error).__name__}: {first}\n\n", ""),
        ("This is a defect of Galenic. ", "bold"),
        "Repeat the command with --debug for the traceback, and report both.",
    )
    messages().print(Panel(text, title="Internal error", title_align="left", border_style="red"))


def _shorten(file: Path) -> str:
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(file)


def _quote(file: Path | None, line: int | None) -> Text | None:
    if file is None or line is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return None
    if not 1 <= line <= len(lines):
        return None
    text = Text(no_wrap=True, overflow="ellipsis")
    for number in range(max(1, line - _QUOTED_LINES + 1), line + 1):
        content = lines[number - 1].expandtabs(4)
        content = content[: _LONGEST_QUOTE - 3] + "..." if len(content) > _LONGEST_QUOTE else content
        marker, style = (">", "bold") if number == line else (" ", "dim")
        text.append(f"{marker}{number:5d} | {content}\n", style)
    text.rstrip()
    return text
