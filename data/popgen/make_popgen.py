"""Make the synthetic population of this folder: `python data/popgen/make_popgen.py`.

msprime (GPL) draws the genealogies; it is needed here and nowhere else, which is why the files that it made are kept.
Everything is invented but the names of the regions and their populations. The same seed gives the same genotypes.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SEED = 2025
HERE = Path(__file__).resolve().parent
SPLIT = 120  # generations since the regions parted, about 3,400 years
GROWTH = 0.03  # of each region, a generation
MUTATION, RECOMBINATION = 1.25e-8, 1.2e-8  # a base and a generation
PIECES, PIECE = 1500, 2500  # stretches of the autosomes, and bases of each: an exome-like design of 3.75 Mb
X_PIECES, PAR_PIECES, X_PIECE = 90, 4, 2500
EXTERNAL = 1500  # people of the other panel
CALLED = {"A": 0.0015, "B": 0.003}  # share of calls that a platform loses anywhere
BASES = np.array(list("ACGT"))


@dataclass(frozen=True)
class Region:
    """A deme, and the region of France whose name it bears."""

    founders: int  # people at the split
    sampled: int  # people in the panel
    population: float  # people who live there, in millions: INSEE, 2024, rounded
    neighbours: str  # with whom people are exchanged
    platform_a: float  # share of its people whom platform A sequenced
    place: tuple[float, float]  # latitude and longitude of its capital


REGIONS = {
    "Auvergne-Rhône-Alpes": Region(7000, 105, 8.2, "BFC OCC PAC NAQ CVL", 0.2, (45.76, 4.84)),
    "Bourgogne-Franche-Comté": Region(6000, 75, 2.8, "ARA GES IDF CVL", 0.3, (47.32, 5.04)),
    "Bretagne": Region(2500, 165, 3.5, "PDL NOR", 0.8, (48.11, -1.68)),
    "Centre-Val de Loire": Region(7000, 60, 2.6, "IDF NAQ ARA PDL NOR BFC", 0.8, (47.9, 1.9)),
    "Corse": Region(1000, 55, 0.36, "PAC", 0.1, (41.92, 8.74)),
    "Grand Est": Region(5500, 105, 5.6, "BFC HDF IDF", 0.7, (48.58, 7.75)),
    "Hauts-de-France": Region(5500, 100, 6.0, "GES IDF NOR", 0.9, (50.63, 3.06)),
    "Île-de-France": Region(12000, 80, 12.4, "CVL HDF NOR BFC GES", 0.9, (48.86, 2.35)),
    "Normandie": Region(5000, 85, 3.3, "BRE HDF IDF PDL CVL", 0.9, (49.44, 1.1)),
    "Nouvelle-Aquitaine": Region(4000, 130, 6.1, "OCC PDL CVL ARA", 0.5, (44.84, -0.58)),
    "Occitanie": Region(4500, 110, 6.1, "NAQ ARA PAC", 0.3, (43.6, 1.44)),
    "Pays de la Loire": Region(5000, 85, 3.9, "BRE NAQ CVL NOR", 0.7, (47.22, -1.55)),
    "Provence-Alpes-Côte d'Azur": Region(4500, 85, 5.2, "OCC ARA COR", 0.2, (43.3, 5.37)),
}
CODES = dict(zip(REGIONS, "ARA BFC BRE CVL COR GES HDF IDF NOR NAQ OCC PDL PAC".split(), strict=True))
NAMES = {code: name for name, code in CODES.items()}
ABROAD = {"GES": 6e-4, "HDF": 6e-4, "IDF": 6e-4, "ARA": 4e-4, "PAC": 4e-4, "OCC": 3e-4, "NAQ": 2e-4}  # with EUR
PATIENT = "BRE"
SOURCE = "INSEE, population le 1er janvier 2024, arrondie à 0,1 million (Corse : à 0,01)"


def demography(scale: float):
    """13 regions beside the rest of a continent (EUR): ancestral growth, a bottleneck, the split, some exchange."""
    import msprime

    model = msprime.Demography()
    for name, region in REGIONS.items():
        now = scale * region.founders * np.exp(GROWTH * SPLIT)
        model.add_population(name=CODES[name], initial_size=now, growth_rate=GROWTH)
    model.add_population(name="EUR", initial_size=scale * 60000 * np.exp(GROWTH * SPLIT), growth_rate=GROWTH)
    model.add_population(name="OLD", initial_size=scale * 20000, growth_rate=0.0025, initially_active=False)
    pairs = {tuple(sorted((CODES[n], other))) for n, r in REGIONS.items() for other in r.neighbours.split()}
    for one, other in sorted(pairs):
        model.set_symmetric_migration_rate([one, other], 4e-4)
    for code, rate in ABROAD.items():
        model.set_symmetric_migration_rate([code, "EUR"], rate)
    model.add_population_split(SPLIT, derived=[*CODES.values(), "EUR"], ancestral="OLD")
    model.add_population_parameters_change(time=900, population="OLD", initial_size=scale * 2800, growth_rate=0)
    model.add_population_parameters_change(time=2000, population="OLD", initial_size=scale * 14000)
    model.sort_events()
    return model


def lengths() -> dict[str, int]:
    from genomics_nb.core.reference import CONTIG_LENGTHS

    return {c: n for c, n in CONTIG_LENGTHS["GRCh38"].items() if c not in {"Y", "MT"}}


def pieces(rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """Contig, first base (from 0) and length of every stretch, in order."""
    from genomics_nb.core.reference import PAR_X

    found = []
    autosomes = {c: n for c, n in lengths().items() if c != "X"}
    total = sum(autosomes.values())
    for contig, length in autosomes.items():
        first = 20_000_000 if contig in {"13", "14", "15", "21", "22"} else 1_000_000  # short arms hold no sequence
        count = max(2, round(PIECES * length / total))
        edges = np.linspace(first, length - 1_000_000, count + 1).astype(int)
        found += [(contig, int(rng.integers(a, b - PIECE)), PIECE) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    par = PAR_X["GRCh38"][0]
    edges = np.linspace(par[0] + 10_000, par[1] - 10_000, PAR_PIECES + 1).astype(int)
    found += [("X", int(rng.integers(a, b - X_PIECE)), X_PIECE) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    edges = np.linspace(3_000_000, 155_000_000, X_PIECES + 1).astype(int)
    found += [("X", int(rng.integers(a, b - X_PIECE)), X_PIECE) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return found


def founders(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The people who are drawn: region, sex (1 male, 2 female) and platform, one row each; the patient last."""
    region, platform = [], []
    for name, r in REGIONS.items():
        region += [CODES[name]] * r.sampled
        platform += list(np.where(rng.random(r.sampled) < r.platform_a, "A", "B"))
    region.append(PATIENT)
    platform.append("A")
    sex = rng.integers(1, 3, len(region))
    return {"region": np.array(region), "sex": sex, "platform": np.array(platform)}


def simulate(piece: tuple[str, int, int], people: dict[str, np.ndarray], seed: int) -> tuple[np.ndarray, ...]:
    """Positions (from 1), alleles (sites, 2) and haplotypes (sites, haplotypes) of one stretch.

    Haplotypes: those of the founders, one after another, then those of the other panel. On X outside PAR a man has one.
    """
    import msprime

    contig, start, length = piece
    haploid = contig == "X" and start > 2_781_479
    counts = np.where(haploid & (people["sex"] == 1), 1, 2)
    samples = [msprime.SampleSet(int(counts[people["region"] == c].sum()), c, ploidy=1) for c in NAMES]
    samples.append(msprime.SampleSet(2 * EXTERNAL * 3 // 4 if haploid else 2 * EXTERNAL, "EUR", ploidy=1))
    tree = msprime.sim_ancestry(samples, demography=demography(0.75 if contig == "X" else 1.0), sequence_length=length,
                                recombination_rate=RECOMBINATION * (2 / 3 if haploid else 1), random_seed=seed)
    mutated = msprime.sim_mutations(tree, rate=MUTATION, model=msprime.HKY(kappa=4.4), random_seed=seed + 1)
    sites = [v for v in mutated.variants() if len(v.alleles) == 2 and 0 < v.genotypes.sum() < len(v.genotypes)]
    # From the order of the regions in NAMES to the order of the people.
    offset = dict(zip(NAMES, np.concatenate([[0], np.cumsum([s.num_samples for s in samples])]), strict=False))
    order = []
    for code, count in zip(people["region"], counts, strict=True):
        order += range(offset[code], offset[code] + count)
        offset[code] += count
    order += range(sum(s.num_samples for s in samples[:-1]), sum(s.num_samples for s in samples))
    haplotypes = np.array([v.genotypes for v in sites], dtype=np.int8)[:, order]
    alleles = np.array([v.alleles for v in sites], dtype=object)
    return np.array([start + int(v.site.position) + 1 for v in sites]), alleles, haplotypes


def to_reference(alleles: np.ndarray, haplotypes: np.ndarray, reference: int) -> tuple[np.ndarray, np.ndarray]:
    """One chance haplotype is the reference, as it is in the real genome: some of its alleles are the rarer ones."""
    flip = haplotypes[:, reference] == 1
    haplotypes = np.where(flip[:, None], 1 - haplotypes, haplotypes).astype(np.int8)
    return np.where(flip[:, None], alleles[:, ::-1], alleles), haplotypes


def with_indels(rng: np.random.Generator, position: np.ndarray, alleles: np.ndarray) -> np.ndarray:
    """About one site in fifteen becomes an insertion or a deletion of one to four bases."""
    alleles = alleles.copy()
    room = np.append(np.diff(position), 9)
    for i in np.flatnonzero((rng.random(len(position)) < 1 / 15) & (room > 5)):
        tail = "".join(rng.choice(BASES, int(rng.integers(1, 5))))
        base = alleles[i, 0]
        alleles[i] = (base, base + tail) if rng.random() < 0.45 else (base + tail, base)
    return alleles


def draw() -> dict:
    """Every stretch, as codes for each founder: 0, 1, 2 copies of ALT, and the two haplotypes for a gene drop."""
    rng = np.random.default_rng(SEED)
    people = founders(rng)
    contigs, positions, alleles, first, second, external = [], [], [], [], [], []
    stretches = pieces(rng)
    for number, piece in enumerate(stretches):
        position, allele, haplotypes = simulate(piece, people, SEED + 1 + 2 * number)
        haploid = piece[0] == "X" and piece[1] > 2_781_479
        count = np.where(haploid & (people["sex"] == 1), 1, 2)
        ends = np.cumsum(count)
        allele, haplotypes = to_reference(allele, haplotypes, int(rng.integers(ends[-1], haplotypes.shape[1])))
        positions.append(position)
        contigs += [piece[0]] * len(position)
        alleles.append(with_indels(rng, position, allele))
        first.append(haplotypes[:, ends - count])
        second.append(np.where(count == 2, haplotypes[:, ends - 1], -1).astype(np.int8))
        other = haplotypes[:, ends[-1]:]
        pairs = 2 * (other.shape[1] // 2)
        external.append(np.stack([other.sum(1), np.full(len(other), other.shape[1]),
                                  (other[:, :pairs:2] & other[:, 1:pairs:2]).sum(1) * (not haploid)], 1))
    return {"people": people, "pieces": stretches, "contig": np.array(contigs), "position": np.concatenate(positions),
            "alleles": np.concatenate(alleles), "first": np.concatenate(first), "second": np.concatenate(second),
            "external": np.concatenate(external), "rng": rng}


def child_of(world: dict, father: int, mother: int, sex: int) -> tuple[np.ndarray, np.ndarray]:
    """A child's two haplotypes: along each chromosome a crossover falls every 100 Mb on average."""
    rng, contig, position = world["rng"], world["contig"], world["position"]

    def gamete(parent: int) -> np.ndarray:
        strand = np.empty(len(position), int)
        for name in dict.fromkeys(contig):
            at = np.flatnonzero(contig == name)
            breaks = np.sort(rng.uniform(0, lengths()[name], rng.poisson(lengths()[name] / 1e8)))
            strand[at] = (np.searchsorted(breaks, position[at]) + rng.integers(2)) % 2
        both = np.stack([world["first"][:, parent], world["second"][:, parent]])
        return both[strand, np.arange(len(position))]

    from_mother, from_father = gamete(mother), gamete(father)
    own = (contig == "X") & (position > 2_781_479)  # a father gives his daughters his X, and his sons none
    from_father[own] = world["first"][own, father] if sex == 2 else -1
    return from_mother, from_father


def make() -> None:
    world = draw()
    rng, drawn = world["rng"], world["people"]
    region, sex, platform = (list(drawn[k][:-1]) for k in ("region", "sex", "platform"))
    first, second = world["first"], world["second"]
    copies = first[:, :-1] + np.maximum(second[:, :-1], 0)
    haploid = (world["contig"] == "X") & (world["position"] > 2_781_479)
    columns, of = list(copies.T), lambda code: [i for i, r in enumerate(region) if r == code]
    truth: list[tuple[str, ...]] = []

    # People who are not one more stranger of their region: a child, and two who came twice.
    father = next(i for i in of("PDL") if sex[i] == 1)
    mother = next(i for i in of("PDL") if sex[i] == 2)
    one, other = child_of(world, father, mother, 2)
    columns.append(one + other)
    region.append("PDL"), sex.append(2), platform.append("A")
    twice = [of("OCC")[7], of("HDF")[11]]
    for i in twice:
        columns.append(columns[i].copy())
        region.append(region[i]), sex.append(sex[i]), platform.append("B" if platform[i] == "A" else "A")
    people = len(columns)
    order = np.argsort(np.array([list(NAMES).index(r) for r in region]), kind="stable")
    place = {int(old): new for new, old in enumerate(order)}
    names = [f"PG{n + 1:04d}" for n in range(people)]
    name = {old: names[place[old]] for old in range(people)}
    truth.append(("trio", name[people - 3], f"{name[father]},{name[mother]}", "child; father and mother"))
    truth += [("duplicate", name[people - 2 + k], name[i], "one person, sequenced twice") for k, i in enumerate(twice)]

    free = [int(i) for i in rng.permutation(people - 3) if i not in {father, mother, *twice}]

    def take(fits=lambda i: True) -> int:
        """The next person who fits, taken once."""
        return free.pop(next(k for k, i in enumerate(free) if fits(i)))

    calls = np.stack(columns, 1).astype(np.int8)
    # Contamination: a share of somebody else's alleles shows as heterozygous calls.
    soiled = [take(), take()]
    for i, share in zip(soiled, (0.9, 0.45), strict=True):
        source = take(lambda j, i=i: sex[j] == sex[i])
        shows = (calls[:, i] != calls[:, source]) & (calls[:, i] != 1) & ~haploid & (rng.random(len(calls)) < share)
        calls[shows, i] = 1
        truth.append(("contaminated", name[i], name[source], f"{share:.0%} of the other's differing alleles show"))
    declared_sex, declared_region, declared_platform = list(sex), list(region), list(platform)
    for i in (take(lambda j: sex[j] == 1), take(lambda j: sex[j] == 2)):
        declared_sex[i] = 3 - sex[i]
        truth.append(("sex_swap", name[i], "", f"declared {'male' if sex[i] == 2 else 'female'}, is the other"))
    a, b = take(lambda j: region[j] == "COR"), take(lambda j: region[j] == "BRE")
    declared_region[a], declared_region[b] = region[b], region[a]
    truth += [("region_swap", name[i], name[j], f"declared {NAMES[declared_region[i]]}, is from {NAMES[region[i]]}")
              for i, j in ((a, b), (b, a))]
    for _ in range(16):
        j = take(lambda j: region[j] in {"NOR", "PDL", "CVL", "BRE"} and platform[j] == "B")
        declared_platform[j] = "A"
        truth.append(("platform_swap", name[j], "", "declared A, was sequenced by B"))

    # What the platforms add: places that one of them reads badly, and places where B calls what is not there.
    missing = rng.random(calls.shape) < np.where(np.array(platform) == "A", CALLED["A"], CALLED["B"])
    common = np.flatnonzero((calls.mean(1) > 0.02) & (calls.mean(1) < 1.6))
    kinds = rng.choice(len(calls), 800, replace=False)
    for rows, who, share in ((kinds[:400], "A", 0.12), (kinds[400:], "B", 0.18)):
        there = np.array(platform) == who
        missing[np.ix_(rows, there)] |= rng.random((len(rows), there.sum())) < share
    for j in (take(), take()):
        missing[:, j] |= rng.random(len(calls)) < 0.09
        truth.append(("low_call_rate", name[j], "", "about 9 % of the calls are missing"))
    wrong = rng.choice(np.setdiff1d(common, np.flatnonzero(haploid)), 40, replace=False)
    on_b = np.array(platform) == "B"
    false = np.zeros(calls.shape, bool)
    false[np.ix_(wrong, on_b)] = rng.random((40, on_b.sum())) < 0.35
    calls[false & (calls == 0)] = 1

    calls, missing = calls[:, order], missing[:, order]
    seen = calls.sum(1) > 0
    seen[wrong] = True
    truth += [("platform_artefact", f"chr{world['contig'][i]}:{world['position'][i]}", "", "B calls heterozygotes")
              for i in sorted(wrong)]
    pick = lambda values: [values[i] for i in order]  # noqa: E731
    _write_panel(world, calls, missing, haploid, np.array(pick(sex)), names, seen)
    _write_external(world)
    planted = _write_patient(world)
    truth.append(("causal", planted, "patient.vcf.gz", "stop gained, heterozygous, seen in neither panel"))
    declared = [pick(values) for values in (declared_region, declared_sex, declared_platform)]
    _write_tables(names, *declared, rng, truth, world["pieces"])


def _rows(world: dict) -> list[str]:
    return [f"chr{c}\t{p}\t.\t{a[0]}\t{a[1]}\t." for c, p, a in
            zip(world["contig"], world["position"], world["alleles"], strict=True)]


def _header(*lines: str) -> str:
    contigs = "".join(f"##contig=<ID=chr{c},length={n},assembly=GRCh38>\n" for c, n in lengths().items())
    filters = '##FILTER=<ID=PASS,Description="All filters passed">\n'
    source = "##source=genomics_nb data/popgen/make_popgen.py: synthetic, no real person\n"
    return ("##fileformat=VCFv4.3\n" + source + filters + contigs + "".join(f"{line}\n" for line in lines))


def _compress(path: Path, text: bytes) -> None:
    import pysam

    with pysam.BGZFile(str(path), "w9") as file:
        file.write(text)


GT = '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'


def _write_panel(world: dict, calls: np.ndarray, missing: np.ndarray, haploid: np.ndarray, sex: np.ndarray,
                 names: list[str], seen: np.ndarray) -> None:
    diploid_words = np.array([b"0/0", b"0/1", b"1/1", b"./."])
    male_words = np.array([b"0", b"1", b"1", b"."])
    out = [(_header(GT) + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(names) + "\n").encode()]
    codes = np.where(missing, 3, calls)
    for i, row in enumerate(_rows(world)):
        if seen[i]:
            words = diploid_words[codes[i]]
            if haploid[i]:
                words = np.where(sex == 1, male_words[codes[i]], words)
            out.append(f"{row}\tPASS\t.\tGT\t".encode() + b"\t".join(words.tolist()) + b"\n")
    _compress(HERE / "population.vcf.gz", b"".join(out))


def _write_external(world: dict) -> None:
    head = _header('##INFO=<ID=AC,Number=A,Type=Integer,Description="Alleles in the other panel">',
                   '##INFO=<ID=AN,Number=1,Type=Integer,Description="Called alleles in the other panel">',
                   '##INFO=<ID=AF,Number=A,Type=Float,Description="AC over AN">',
                   '##INFO=<ID=nhomalt,Number=A,Type=Integer,Description="Homozygotes in the other panel">')
    out = [head + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"]
    out += [f"{row}\tPASS\tAC={ac};AN={an};AF={ac / an:.4g};nhomalt={hom}\n"
            for row, (ac, an, hom) in zip(_rows(world), world["external"].tolist(), strict=True) if ac]
    _compress(HERE / "external.vcf.gz", "".join(out).encode())


EFFECTS = (("stop_gained", "HIGH"), ("missense_variant", "MODERATE"), ("synonymous_variant", "LOW"),
           ("intron_variant", "MODIFIER"))


def _effect(rng: np.random.Generator, frequency: float) -> tuple[str, str]:
    """What a variant does: the rarer, the more often something. The genealogies know no selection."""
    rare, middle, common = (0.015, 0.30, 0.14), (0.005, 0.22, 0.15), (0.001, 0.13, 0.16)
    shares = rare if frequency < 0.001 else middle if frequency < 0.01 else common
    return EFFECTS[int(np.searchsorted(np.cumsum(shares), rng.random()))]


def _write_patient(world: dict) -> str:
    """One more person of a region, who is in no panel, with a variant that nobody else has."""
    rng = np.random.default_rng(SEED + 7)
    one, other = world["first"][:, -1], world["second"][:, -1]
    genes = {(c, s): f"PGS{n + 1:04d}" for n, (c, s, _) in enumerate(world["pieces"])}
    starts = {c: sorted(s for k, s in genes if k == c) for c, _ in genes}
    everybody = world["first"].shape[1] + (world["second"] >= 0).sum(1) + world["external"][:, 1]
    total = world["first"].sum(1) + np.maximum(world["second"], 0).sum(1) + world["external"][:, 0]
    rows = []
    for i, (contig, position, row) in enumerate(zip(world["contig"], world["position"], _rows(world), strict=True)):
        if one[i] + max(other[i], 0):
            begin = max(s for s in starts[contig] if s < position)
            rows.append((contig, int(position), row, (int(one[i]), int(other[i])), genes[contig, begin],
                         _effect(rng, total[i] / everybody[i])))
    contig_of_it, begin, length = next(p for p in world["pieces"] if p[0] == "7")
    taken = set(world["position"][world["contig"] == contig_of_it].tolist())
    place = next(p for p in range(begin + length // 2, begin + length) if p not in taken)
    rows.append((contig_of_it, place, f"chr{contig_of_it}\t{place}\t.\tC\tT\t.", (1, 0), genes[contig_of_it, begin],
                 EFFECTS[0]))
    rows.sort(key=lambda r: (list(lengths()).index(r[0]), r[1]))
    head = _header('##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations: \'Allele | Annotation | '
                   'Annotation_Impact | Gene_Name | Gene_ID | Feature_Type | Feature_ID | Transcript_BioType\'">', GT,
                   '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads for each allele">',
                   '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">',
                   '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality, phred">')
    out = [head + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tPG-PATIENT\n"]
    for _, _, row, (a, b), gene, (effect, impact) in rows:
        depth = int(rng.poisson(36 if b >= 0 else 18)) + 4
        share = (a + max(b, 0)) / (1 + (b >= 0))
        alternative = int(rng.binomial(depth, share)) if share < 1 else depth
        gt = str(a) if b < 0 else f"{min(a, b)}/{max(a, b)}"
        quality = int(min(99, 3 * min(alternative, depth - alternative) * 2 if share < 1 else 3 * depth))
        allele = row.split("\t")[4]
        info = f"ANN={allele}|{effect}|{impact}|{gene}|{gene}|transcript|{gene}.1|protein_coding"
        out.append(f"{row}\tPASS\t{info}\tGT:AD:DP:GQ\t{gt}:{depth - alternative},{alternative}:{depth}:{quality}\n")
    _compress(HERE / "patient.vcf.gz", "".join(out).encode())
    return f"chr{contig_of_it}:{place}"


def _write_tables(names: list[str], region: list[str], sex: list[int], platform: list[str], rng: np.random.Generator,
                  truth: list[tuple[str, ...]], stretches: list[tuple[str, int, int]]) -> None:
    weights = np.array([r.population for r in REGIONS.values()])
    rows = ["sample\tregion\tsex\tplatform\tbirth_region"]
    for n, code, s, p in zip(names, region, sex, platform, strict=True):
        born = NAMES[code] if rng.random() < 0.8 else list(REGIONS)[rng.choice(13, p=weights / weights.sum())]
        rows.append(f"{n}\t{NAMES[code]}\t{'male' if s == 1 else 'female'}\t{p}\t{born}")
    (HERE / "people.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = ["region\tpopulation\tlatitude\tlongitude\tsource",
             *(f"{n}\t{round(r.population * 1e6)}\t{r.place[0]}\t{r.place[1]}\t{SOURCE}" for n, r in REGIONS.items())]
    (HERE / "regions.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    bed = [f"chr{c}\t{s}\t{s + length}" for c, s, length in stretches]
    (HERE / "targets.bed").write_text("\n".join(bed) + "\n", encoding="utf-8")
    (HERE / "truth.tsv").write_text("\n".join("\t".join(t) for t in [("kind", "what", "other", "note"), *truth]) + "\n",
                                    encoding="utf-8")


if __name__ == "__main__":
    make()
    for file in sorted(HERE.iterdir()):
        if file.is_file():
            print(f"{file.stat().st_size:>9} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]} {file.name}")
