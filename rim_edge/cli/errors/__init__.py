"""From an exception to text, to JSON for programs, and to an exit code; wrong usage in our own words."""
