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


class _Engine:
    """The engine as papermill finds it by its entry point; loaded when used, for papermill asks while it is imported."""

    def __getattr__(self, name: str) -> object:
        from genomics_nb.delivery.engine import ProcessEngine

        return getattr(ProcessEngine, name)


papermill_engine = _Engine()
