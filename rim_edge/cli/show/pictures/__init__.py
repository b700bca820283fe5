"""SVG pictures: self-contained, light and dark."""
