"""A service as lines of JSON, on stdin and stdout or at a Unix socket: for programs in any language."""
