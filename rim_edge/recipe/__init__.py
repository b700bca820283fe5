"""What is trained, as values: stages, switches, resources, presets, TOML."""
