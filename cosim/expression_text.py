"""The characters of an expression: numbers, names, units, operators, and where in the text an error is."""

from __future__ import annotations

import re
from typing import NoReturn

from fmus.errors import GalenicError

NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
NAME = re.compile(r"[A-Za-z_]\w*(?:\[[\d, ]*\])?(?:\.[A-Za-z_]\w*(?:\[[\d, ]*\])?)*")
QUOTED = re.compile(r"'([^']*)'")
_SPACE = re.compile(r"\s*")
_ATOM = r"(?:%|(?![0-9_])[\w°]+)(?:\^-?\d+)?(?![\w.(])"
_UNIT = re.compile(rf"(?:1/)?{_ATOM}(?:[*/]{_ATOM})*")
_OPERATORS = ("<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "^", "(", ")", ",")
_WORDS = frozenset({"and", "or", "not", "true", "false", "time"})


class ExpressionError(GalenicError):
    """What is wrong with an expression, and at which character of it (``column``, from 0)."""

    def __init__(self, message: str, cure: str, column: int) -> None:
        super().__init__(message, cure=cure)
        self.column = column


class Scanner:
    """Goes through the text of an expression; ``at`` is where it is."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What of a pattern stands here, not passed."""
        return pattern.match(self.text, self.at)

    def unit(self) -> str | None:
        """The unit that stands here, not passed; None where there is none, or a word of the grammar."""
        found = self.match(_UNIT)
        if found is None or _starts_with_word(found[0]):
            return None
        return found[0]

    def skip(self) -> int:
        """Go on to the next character that is no space; returns where it is."""
        match = self.match(_SPACE)
        assert match is not None
        self.at = match.end()
        return self.at

    def operator(self, *wanted: str) -> str | None:
        """Pass the next operator if it is a wanted one."""
        self.skip()
        found = next((operator for operator in _OPERATORS if self.text.startswith(operator, self.at)), None)
        if found not in wanted:
            return None
        self.at += len(found)
        return found

    def word(self, word: str) -> bool:
        """Pass the next word if it is this one."""
        self.skip()
        match = self.match(NAME)
        if match is None or match[0] != word:
            return False
        self.at = match.end()
        return True

    def close(self, begin: int) -> None:
        """Pass the parenthesis that closes the one at ``begin``. Raises ExpressionError where it does not follow."""
        if self.operator(")") is None:
            if self.at >= len(self.text):
                self.fail("a parenthesis is not closed", "add ')'", begin)
            self.unexpected()

    def unexpected(self) -> NoReturn:
        """Raises ExpressionError: what stands here does not belong here."""
        rest = self.text[self.at :]
        if not rest:
            self.fail("the expression ends too early", "complete it, as in 'press.hardness > 40 N'")
        cures = {"=": "compare with '=='", "&": "write 'and'", "|": "write 'or'", "!": "write 'not'"}
        word = rest.split()[0]
        cure = cures.get(rest[0], "check the operator or the unit before it; units have no spaces inside")
        self.fail(f"'{word[:20]}' is not expected here", cure)

    def fail(self, message: str, cure: str, column: int | None = None) -> NoReturn:
        """Raises ExpressionError, at this place unless another is given."""
        raise ExpressionError(message, cure, self.at if column is None else column)


def _starts_with_word(unit: str) -> bool:
    match = re.match(r"[A-Za-z]+", unit)
    return match is not None and match[0] in _WORDS
