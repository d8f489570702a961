"""The shipped unit models: one file, one unit operation."""
