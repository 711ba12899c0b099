"""Version of the package; a test compares it with the library's."""

__version__ = "0.1.0"
