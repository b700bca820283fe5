"""Bundles on servers of others."""
