"""From a module to a graph without weights, and editing graphs."""
