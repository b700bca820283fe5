"""Test vectors of a bundle: what a runtime in another language is compared with."""
