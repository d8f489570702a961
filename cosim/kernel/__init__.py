"""The inner loop of the master, in C and, with the same results, in Python.

- `program`: what a kernel executes. `native` with `kernel.c`: in C. `python_kernel`: in Python.
"""
