"""Exact and near-duplicates across sources, texts inside others, and the groups that such documents must share."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from kalam.corpus.containment import Probes, smallest
from kalam.corpus.shingles import containment, exact_keys, jaccard, shingle_batches, shingle_sets
from kalam.data.filtering import Document, Reason
from kalam.data.groups import Groups
from kalam.data.placement import SPLITS
from kalam.data.selection import Stream
from kalam.files.stored_rows import Picked
from kalam.text.languages import Ranges

# 32 bands of 3 find a pair of similarity s with 1 - (1 - s^3)^32: at 0.8 always, 0.5 in 98.6 %, 0.4 in 88 %.
BANDS, ROWS = 32, 3
# At half the threshold (0.4 by default) two texts of one length share more than half of their
# shingles, too much for one to be trained on and the other tested; much below it the bands
# would find a pair only by chance.
GROUPING = 0.5
# Of a text in another one: with this share it is as good as known to who has read the other; with the second nothing is
# lost without it.
INSIDE, CONTAINED = 0.7, 0.95
HELD = 1024  # texts of which the shingles are held, as they are likely to be compared again

Join = tuple[int, int]
Earlier = Mapping[int, Sequence[int]]
Similarity = Callable[[np.ndarray, np.ndarray], float]


def deduplicate(
    documents: Sequence[Document], threshold: float, seed: int, optional_marks: Ranges = ()
) -> tuple[Iterable[tuple[Document, Reason | None]], list[Join]]:
    """Each document in its order, with None if it stays, else with its reason; and what joins groups.

    The documents may stay in a file: they are gone through several times, their signatures are held but not
    their texts, and the result is a stream over them.

    It goes as `duplicate` if another that stays has the same letters, marks and digits; as
    `near_duplicate` if one has a Jaccard similarity of 10-character shingles of at least
    `threshold`; as `contained` if one has nearly all of its shingles. The reason names that one
    (`duplicate_of`) and the similarity, or the share of the shingles. Of such documents
    stays the first whose `split` is test, else validation, else the first of all; so one that only a
    later one contains stays as well. Samples only find candidates, every similarity is exact. Texts
    must be normalised. Shingles pass over `optional_marks`, ranges of those that a text of the language may lack.

    The `group` of every document becomes the smallest name of the groups that belong together:
    those of a document and its duplicates, of documents that stay and are similar by at least
    half the threshold, and of those that stay and of which one has most shingles of the other. A join
    is such a pair, each by its place in `documents`, the one that was looked at later first: those
    that are held out come before the others, each in their order. The joins of the documents up to any
    one give the groups that these would have without the rest.
    """
    held = [(document["group"], SPLITS.index(document.get("split", "train"))) for document in documents]
    order = sorted(range(len(held)), key=lambda index: -held[index][1])
    own = [held[index][0] for index in order]
    found, pairs = _duplicates(Picked(documents, order), own, threshold, seed, optional_marks)
    reasons = {order[place]: reason for place, reason in found.items()}
    joins = [(order[later], order[earlier]) for later, earlier in pairs]
    groups = Groups()
    for later, earlier in joins:
        groups.join(held[later][0], held[earlier][0])
    judged = Stream(
        lambda: (
            ({**document, "group": groups.name(document["group"])}, reasons.get(index))
            for index, document in enumerate(documents)
        )
    )
    return judged, joins


def _duplicates(
    documents: Sequence[Document], own: Sequence[str], threshold: float, seed: int, optional_marks: Ranges
) -> tuple[dict[int, Reason], list[Join]]:
    """The reasons of those that go, an earlier one staying, and the joins; `own` are their groups."""
    first: dict[bytes, int] = {}
    original = [first.setdefault(key, index) for index, key in enumerate(exact_keys(d["text"] for d in documents))]
    distinct = list(first.values())
    of_distinct = [own[index] for index in distinct]
    near, pairs = _near_duplicates(Picked(documents, distinct), of_distinct, threshold, seed, optional_marks)
    joins = [(distinct[later], distinct[earlier]) for later, earlier in pairs]
    reasons = {
        distinct[index]: _reason(why, documents[distinct[kept]], similarity)
        for index, (why, kept, similarity) in near.items()
    }
    for index, kept in enumerate(original):
        if kept != index:
            joins.append((index, kept))
            # the copy of one that goes is as near to the one that stays
            reasons[index] = reasons.get(kept) or _reason("duplicate", documents[kept], 1.0)
    return reasons, joins


def _reason(key: str, kept: Document, similarity: float) -> Reason:
    return {"reason": key, "duplicate_of": kept["id"], "similarity": round(similarity, 4)}


def _near_duplicates(
    documents: Sequence[Document], own: Sequence[str], threshold: float, seed: int, optional_marks: Ranges
) -> tuple[dict[int, tuple[str, int, float]], list[Join]]:
    """Why each document goes that is not wanted, where the one is that stays for it, and the similarity; and the joins.

    A document is compared with kept ones only, so a text found in a thousand copies costs a
    thousand comparisons, not a million.
    """
    if not len(documents):
        return {}, []
    texts = Stream(lambda: (document["text"] for document in documents))
    signatures, samples = _sketches(texts, seed, optional_marks)
    inside, around = _containers(samples, texts, optional_marks)
    buckets = _buckets(signatures)
    crowded = np.flatnonzero((buckets >= 0).any(axis=1)).tolist()
    shingles = lru_cache(HELD)(lambda index: shingle_sets([documents[index]["text"]], optional_marks)[0])
    related = threshold * GROUPING
    members: dict[int, list[int]] = defaultdict(list)
    groups = Groups()
    gone, joins = {}, []

    def first(why: str, index: int, others: Iterable[int], similar: Similarity, least: float) -> bool:
        """Whether a document goes because of one of the others, as is then written down."""
        for kept in others:
            if kept not in gone and (similarity := similar(shingles(index), shingles(kept))) >= least:
                gone[index] = why, kept, similarity
                joins.append((index, kept))
                groups.join(own[index], own[kept])
                return True
        return False

    def join(index: int, others: Iterable[int], similar: Similarity, least: float) -> None:
        """Put a document and those of the others that are similar to it into one group."""
        name = groups.name(own[index])
        for kept in others:
            other = own[kept]
            if kept not in gone and groups.name(other) != name and similar(shingles(index), shingles(kept)) >= least:
                joins.append((index, kept))
                groups.join(name, other)
                name = groups.name(name)

    for index in sorted({*crowded, *inside, *around}):
        keys = [key for key in buckets[index].tolist() if key >= 0]
        candidates = np.array(sorted(set(chain.from_iterable(members[key] for key in keys))), dtype=np.int64)
        estimates = (signatures[candidates] == signatures[index]).mean(axis=1)
        alike, kin = (candidates[estimates >= _least_estimate(least)].tolist() for least in (threshold, related))
        if first("near_duplicate", index, alike, jaccard, threshold):
            continue
        if first("contained", index, inside[index], containment, max(CONTAINED, threshold)):
            continue
        for key in keys:
            members[key].append(index)
        join(index, kin, jaccard, related)
        join(index, inside[index], containment, INSIDE)
        join(index, around[index], lambda one, other: containment(other, one), INSIDE)
    return gone, joins


def _containers(samples: list[np.ndarray], texts: Iterable[str], optional_marks: Ranges) -> tuple[Earlier, Earlier]:
    """For each document the earlier ones that it may lie in, and those that may lie in it."""
    inside, around = defaultdict(list), defaultdict(list)
    for containers, contained in Probes(samples, INSIDE).pairs(shingle_batches(texts, optional_marks)):
        for container, one in zip(containers.tolist(), contained.tolist(), strict=True):
            earlier, later = sorted((container, one))
            (inside if one == later else around)[later].append(earlier)
    return inside, around


def _least_estimate(similarity: float) -> float:
    """Four standard deviations of a MinHash estimate below a similarity."""
    return similarity - 4 * (similarity * (1 - similarity) / (BANDS * ROWS)) ** 0.5


def _sketches(texts: Iterable[str], seed: int, optional_marks: Ranges) -> tuple[np.ndarray, list[np.ndarray]]:
    """MinHash signatures, uint32 [texts, BANDS * ROWS], and what `smallest` gives of each text."""
    from rensa import RMinHash

    digest = RMinHash.digest_matrix_from_flat_token_hashes
    signatures, samples = [], []
    for hashes, offsets in shingle_batches(texts, optional_marks):
        rows = digest(hashes, offsets.astype(np.uint64), BANDS * ROWS, seed).to_rows()
        signatures.append(np.array(rows, dtype=np.uint32))
        samples += smallest(hashes, offsets)
    return np.concatenate(signatures), samples


def _buckets(signatures: np.ndarray) -> np.ndarray:
    """The bucket each text falls into in each band, -1 where it is alone; int64 [texts, BANDS]."""
    buckets = np.empty((len(signatures), BANDS), np.int64)
    for band in range(BANDS):
        rows = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * ROWS))).ravel()
        _, places, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(sizes[places] > 1, places + band * len(signatures), -1)
    return buckets
