"""National genomic medicine in notebooks."""
__version__ = "0.1.0"


def load_ipython_extension(shell: object) -> None:
    """`%load_ext genomics_nb`: completion, `%cad`, `%report` and rich displays."""
    from .delivery.workbench import load

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """`%unload_ext genomics_nb`."""
    from .delivery.workbench import unload

    unload(shell)
