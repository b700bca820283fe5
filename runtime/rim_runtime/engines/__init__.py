"""The engines that run a bundle's graph: one file per engine, and what they share."""
