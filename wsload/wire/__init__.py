"""The client's side of RFC 6455 as pure functions: bytes in, events out; no clock, no socket."""
