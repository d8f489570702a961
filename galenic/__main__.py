"""`python -m galenic` is the command `galenic`."""

from galenic.cli import main

main()
