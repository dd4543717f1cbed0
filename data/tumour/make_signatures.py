"""Six invented mutational signatures of clear shape, for demonstrations: `python make_signatures.py` writes signatures.tsv.

They stand for nothing in nature. Each is a few lines of weights over the 96 contexts, in COSMIC's order and names.
"""
from collections.abc import Callable
from pathlib import Path

CHANGES = ("C>A", "C>G", "C>T", "T>A", "T>C", "T>G")
CONTEXTS = [f"{left}[{change}]{right}" for change in CHANGES for left in "ACGT" for right in "ACGT"]

SHAPES: dict[str, Callable[[str, str, str], float]] = {  # left base, change, right base -> weight
    "SYN1": lambda left, change, right: 20.0 if change == "C>T" and right == "G" else 0.5,  # at CpG
    "SYN2": lambda left, change, right: (  # after T
        {"C>T": 12.0, "C>G": 10.0}.get(change, 0.2) if left == "T" and right in "AT" else 0.1),
    "SYN3": lambda left, change, right: 9.0 if change == "C>A" else 0.4,  # any C to A
    "SYN4": lambda left, change, right: (  # T to C after A
        14.0 if change == "T>C" and left == "A" else 2.0 if change == "T>C" else 0.3),
    "SYN5": lambda left, change, right: (  # T to G before T
        16.0 if change == "T>G" and left + right in ("TT", "AT", "CT") else 0.4),
    "SYN6": lambda left, change, right: 1.0,  # everything alike
}


def main() -> None:
    """Write the table beside this file."""
    columns = {name: [shape(c[0], c[2:5], c[6]) for c in CONTEXTS] for name, shape in SHAPES.items()}
    sums = {name: sum(values) for name, values in columns.items()}
    lines = ["Type\t" + "\t".join(columns)]
    lines += [f"{c}\t" + "\t".join(f"{columns[name][n] / sums[name]:.8f}" for name in columns) for n, c in enumerate(CONTEXTS)]
    (Path(__file__).parent / "signatures.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
