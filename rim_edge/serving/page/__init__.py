"""The page at `/`: no outside resource, no framework."""
