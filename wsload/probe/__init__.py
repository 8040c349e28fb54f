"""``wsload probe``: what an engineer checks by hand on one WebSocket URL, and its path's idle timers."""
