"""The load generators that ``benchmarks/peers.py`` compares: how each is found, told what to do, and read."""
