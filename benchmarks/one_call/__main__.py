"""`python -m benchmarks.one_call`: see `run`."""

from .run import main

main()
