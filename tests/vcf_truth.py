"""Two slow, obvious readers for the parity tests: VCF text, and a store written back to the same form.

Both give a list of records: fixed columns as text, INFO as a dictionary, FORMAT as one dictionary for each sample.
Numbers stay text until they are compared.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

Record = dict[str, Any]


def records_of_text(text: str) -> list[Record]:
    """Records of VCF text, field by field."""
    found = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        columns = line.split("\t")
        info = {}
        for part in [] if columns[7] == "." else columns[7].split(";"):
            key, _, value = part.partition("=")
            if key:
                info.setdefault(key, value if "=" in part else True)
        keys = columns[8].split(":") if len(columns) > 8 else []
        calls = [dict(zip(keys, sample.split(":"), strict=False)) for sample in columns[9:]]
        found.append({"fixed": columns[:7], "info": info, "calls": calls})
    return found


def joined(values: np.ndarray) -> str:
    """One cell of an array as VCF text; `.` where it is missing, nothing after the first fill."""
    values = np.atleast_1d(values)
    if values.dtype == np.float32:
        bits = values.view(np.uint32)
        words = ["." if b == 0x7F800001 else repr(float(v)) for v, b in zip(values, bits, strict=True) if b != 0x7F800002]
    elif values.dtype.kind in "iu":
        words = ["." if v == -1 else str(v) for v in values if v != -2]
    else:
        words = [str(v) for v in values if str(v) != ""]
    return ",".join(words)


def genotype(values: np.ndarray, phased: bool) -> str:
    """A call as VCF text."""
    return ("|" if phased else "/").join("." if a == -1 else str(a) for a in values if a != -2)


def records_of_store(ds: xr.Dataset) -> list[Record]:
    """Records of a store, in the same form."""
    ds = ds.load()
    contigs, filters = ds.contig_id.values, ds.filter_id.values
    fixed = {"variant_contig", "variant_position", "variant_length", "variant_allele", "variant_id", "variant_id_mask", "variant_quality",
             "variant_filter"}
    info = [n for n in ds.data_vars if n.startswith("variant_") and n not in fixed]
    call = [n for n in ds.data_vars if n.startswith("call_") and n not in ("call_genotype", "call_genotype_phased")]
    arrays = {n: ds[n].values for n in ds.data_vars}
    found = []
    for r in range(ds.sizes["variants"]):
        alleles = [a for a in arrays["variant_allele"][r] if a != ""]
        names = [f for f, on in zip(filters, arrays["variant_filter"][r], strict=True) if on]
        head = [contigs[arrays["variant_contig"][r]], str(arrays["variant_position"][r]), str(arrays["variant_id"][r]), alleles[0],
                ",".join(alleles[1:]) or ".", joined(arrays["variant_quality"][r]), ";".join(names) or "."]
        fields: dict[str, Any] = {}
        for name in info:
            value = arrays[name][r]
            fields[name[8:]] = bool(value) if arrays[name].dtype == bool else joined(value)
        calls = []
        for s in range(ds.sizes.get("samples", 0)):
            one = {name[5:]: joined(arrays[name][r, s]) for name in call}
            if "call_genotype" in arrays:
                one["GT"] = genotype(arrays["call_genotype"][r, s], arrays["call_genotype_phased"][r, s])
            calls.append(one)
        found.append({"fixed": [str(x) for x in head], "info": fields, "calls": calls})
    return found


def same_value(ours: Any, theirs: Any, rtol: float, atol: float = 1e-45) -> bool:
    """Whether two texts of one field say the same. A field that is absent is `.`, `False` or nothing."""
    def absent(value: Any) -> bool:
        return value in (None, False) or isinstance(value, str) and set(value) <= set(".,")

    if absent(ours) and absent(theirs) or ours == theirs:
        return True
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return bool(ours) == bool(theirs) and theirs not in (".",)
    a, b = str(ours).split(","), str(theirs).split(",")
    if len(a) != len(b):
        return set(a) | set(b) <= {"."}
    for x, y in zip(a, b, strict=True):
        if x == y:
            continue
        try:
            p, q = float(x), float(y)
        except ValueError:
            return False
        if not (math.isnan(p) and math.isnan(q)) and not math.isclose(p, q, rel_tol=rtol, abs_tol=atol):
            return False
    return True


def same_genotype(ours: str, theirs: str | None) -> bool:
    """Whether two calls agree: alleles in order, and phase where there is one."""
    if theirs in (None, "", "."):
        return ours in ("", ".")
    text = theirs.lstrip("/|")
    mixed = "/" in text and "|" in text
    return ours == (text.replace("|", "/") if mixed else text)


def differences(ours: list[Record], theirs: list[Record], rtol: float = 5.1e-6, atol: float = 1e-45) -> list[str]:
    """What differs, one line each; empty where the two agree. The default tolerance is bcftools' six digits."""
    found = [] if len(ours) == len(theirs) else [f"{len(ours)} records against {len(theirs)}"]
    for r, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        for c, (x, y) in enumerate(zip(a["fixed"], b["fixed"], strict=True)):
            if x != y and not (c == 5 and same_value(x, y, rtol, atol)) and not (c == 6 and set(x.split(";")) == set(y.split(";"))):
                found.append(f"record {r} column {c}: {x!r} against {y!r}")
        for key in a["info"].keys() | b["info"].keys():
            if not same_value(a["info"].get(key), b["info"].get(key), rtol, atol):
                found.append(f"record {r} INFO/{key}: {a['info'].get(key)!r} against {b['info'].get(key)!r}")
        for s, (x, y) in enumerate(zip(a["calls"], b["calls"], strict=True)):
            for key in x.keys() | y.keys():
                same = same_genotype(x.get("GT", ""), y.get("GT")) if key == "GT" else same_value(x.get(key), y.get(key), rtol, atol)
                if not same:
                    found.append(f"record {r} sample {s} FORMAT/{key}: {x.get(key)!r} against {y.get(key)!r}")
    return found
