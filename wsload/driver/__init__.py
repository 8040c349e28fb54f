"""The hot path: one worker process drives its share of the tunnels on one uvloop."""
