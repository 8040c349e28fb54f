from tests.e2e.scenarios import ended, playing

__all__ = ["ended", "playing"]
