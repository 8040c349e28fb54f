"""The load generators that ``benchmarks/peers.py`` compares: for each, how it is found, told what to do, and read."""
