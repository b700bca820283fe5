"""The release, read by the build as well; an application that was frozen has no package metadata to read."""

__version__ = "0.1.0"
