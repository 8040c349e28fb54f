"""wsload: load and soak testing of WebSocket tunnels through HAProxy."""

__version__ = "0.1.0"
