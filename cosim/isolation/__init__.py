"""FMUs in processes of their own: one that crashes, hangs or exits becomes an error, and the run lives.

- `isolated`: the component in the master's process. `worker`: the other side, which holds the FMU.
- `link`: messages between them, with a time limit. Values go through a file that both map into their memory.
"""
