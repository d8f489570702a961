"""A docstring as HTML: paragraphs, literal blocks, names in double backquotes."""

from __future__ import annotations

import html
import inspect
import re

_LITERAL = re.compile(r"``(.+?)``|`(.+?)`")


def prose(text: str) -> str:
    """Paragraphs of ``text``; what is indented, as after a double colon, keeps its lines."""
    blocks, parts = re.split(r"\n\s*\n", inspect.cleandoc(text)), list[str]()
    for block in blocks:
        if not block.strip():
            continue
        if all(line.startswith((" ", "\t")) for line in block.splitlines()):
            parts.append(f"<pre>{html.escape(inspect.cleandoc(block))}</pre>")
            continue
        escaped = html.escape(" ".join(block.split()), quote=False)
        escaped = escaped[:-1] if escaped.endswith("::") else escaped
        parts.append(f"<p>{_LITERAL.sub(lambda m: f'<code>{m[1] or m[2]}</code>', escaped)}</p>")
    return "\n".join(parts)
