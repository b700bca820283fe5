"""Keyed partners: items, and a key told last that pairs them; how many have their partner among them."""
