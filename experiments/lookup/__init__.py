"""Lookups in a row: six shuffled facts, a start, three hops."""
