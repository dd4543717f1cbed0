"""National genomic medicine in notebooks."""
__version__ = "0.1.0"
