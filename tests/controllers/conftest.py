from __future__ import annotations

from pathlib import Path

import pytest
from closed_loop import make_surrogate, write_files

from controllers.surrogates.linear_surrogate import LinearSurrogate


@pytest.fixture(scope="session")
def surrogate() -> LinearSurrogate:
    """Identified on the synthetic line with gains of one."""
    return make_surrogate()


@pytest.fixture(scope="session")
def files(surrogate: LinearSurrogate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the surrogate and the design space of the synthetic line."""
    return write_files(tmp_path_factory.mktemp("mpc"), surrogate)
