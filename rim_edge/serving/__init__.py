"""One bundle that answers over HTTP, for programs on this machine."""
