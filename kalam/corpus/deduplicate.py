"""Exact and near-duplicates across sources, and the groups that similar documents must share."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from kalam.corpus.shingles import exact_keys, jaccard, shingle_batches, shingle_sets
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
HELD = 1024  # texts of which the shingles are held, as they are likely to be compared again

Join = tuple[int, int]


def deduplicate(
    documents: Sequence[Document], threshold: float, seed: int, optional_marks: Ranges = ()
) -> tuple[Iterable[tuple[Document, Reason | None]], list[Join]]:
    """Each document in its order, with None if it stays, else with its reason; and what joins groups.

    The documents may stay in a file: they are gone through several times, their signatures are held but not
    their texts, and the result is a stream over them.

    It goes as `duplicate` if another that stays has the same letters, marks and digits; as
    `near_duplicate` if one has a Jaccard similarity of 10-character shingles of at least
    `threshold`. The reason names that one (`duplicate_of`) and the similarity. Of such documents
    stays the first whose `split` is test, else validation, else the first of all. MinHash only
    finds candidates, every similarity is exact. Texts must be normalised. Shingles pass over `optional_marks`,
    ranges of those that a text of the language may lack.

    The `group` of every document becomes the smallest name of the groups that belong together:
    those of a document and its duplicates, and of documents that stay and are similar by at least
    half the threshold. A join is such a pair, each by its place in `documents`, the one that was
    looked at later first: those that are held out come before the others, each in their order. The
    joins of the documents up to any one give the groups that these would have without the rest.
    """
    held = [(document["group"], SPLITS.index(document.get("split", "train"))) for document in documents]
    order = sorted(range(len(held)), key=lambda index: -held[index][1])
    found, pairs = _duplicates(Picked(documents, order), threshold, seed, optional_marks)
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
    documents: Sequence[Document], threshold: float, seed: int, optional_marks: Ranges
) -> tuple[dict[int, Reason], list[Join]]:
    """The reasons of those that go, an earlier one staying, and the joins."""
    first: dict[bytes, int] = {}
    original = [first.setdefault(key, index) for index, key in enumerate(exact_keys(d["text"] for d in documents))]
    distinct = list(first.values())
    near, pairs = _near_duplicates(Picked(documents, distinct), threshold, seed, optional_marks)
    joins = [(distinct[later], distinct[earlier]) for later, earlier in pairs]
    reasons = {
        distinct[index]: _reason("near_duplicate", documents[distinct[kept]], similarity)
        for index, (kept, similarity) in near.items()
    }
    for index, kept in enumerate(original):
        if kept != index:
            joins.append((index, kept))
            # the copy of a near-duplicate is as near to the one that stays
            reasons[index] = reasons.get(kept) or _reason("duplicate", documents[kept], 1.0)
    return reasons, joins


def _reason(key: str, kept: Document, similarity: float) -> Reason:
    return {"reason": key, "duplicate_of": kept["id"], "similarity": round(similarity, 4)}


def _near_duplicates(
    documents: Sequence[Document], threshold: float, seed: int, optional_marks: Ranges
) -> tuple[dict[int, tuple[int, float]], list[Join]]:
    """Where each near-duplicate's kept document is, and the similarity; and the joins.

    A document is compared with kept ones only, so a text found in a thousand copies costs a
    thousand comparisons, not a million.
    """
    if not len(documents):
        return {}, []
    signatures = _signatures((document["text"] for document in documents), seed, optional_marks)
    buckets = _buckets(signatures)
    crowded = np.flatnonzero((buckets >= 0).any(axis=1)).tolist()
    shingles = lru_cache(HELD)(lambda index: shingle_sets([documents[index]["text"]], optional_marks)[0])
    related = threshold * GROUPING
    members: dict[int, list[int]] = defaultdict(list)
    groups = Groups()
    near, joins = {}, []
    for index in crowded:
        group = documents[index]["group"]
        keys = [key for key in buckets[index].tolist() if key >= 0]
        candidates = np.array(sorted(set(chain.from_iterable(members[key] for key in keys))), dtype=np.int64)
        estimates = (signatures[candidates] == signatures[index]).mean(axis=1)
        for kept in candidates[estimates >= _least_estimate(threshold)].tolist():
            similarity = jaccard(shingles(index), shingles(kept))
            if similarity >= threshold:
                near[index] = kept, similarity
                joins.append((index, kept))
                groups.join(group, documents[kept]["group"])
                break
        else:
            for key in keys:
                members[key].append(index)
            name = groups.name(group)
            for kept in candidates[estimates >= _least_estimate(related)].tolist():
                other = documents[kept]["group"]
                if groups.name(other) != name and jaccard(shingles(index), shingles(kept)) >= related:
                    joins.append((index, kept))
                    groups.join(name, other)
                    name = groups.name(name)
    return near, joins


def _least_estimate(similarity: float) -> float:
    """Four standard deviations of a MinHash estimate below a similarity."""
    return similarity - 4 * (similarity * (1 - similarity) / (BANDS * ROWS)) ** 0.5


def _signatures(texts: Iterable[str], seed: int, optional_marks: Ranges) -> np.ndarray:
    """MinHash signatures, uint32 [texts, BANDS * ROWS]."""
    from rensa import RMinHash

    digest = RMinHash.digest_matrix_from_flat_token_hashes
    parts = [
        np.array(digest(hashes, offsets.astype(np.uint64), BANDS * ROWS, seed).to_rows(), dtype=np.uint32)
        for hashes, offsets in shingle_batches(texts, optional_marks)
    ]
    return np.concatenate(parts)


def _buckets(signatures: np.ndarray) -> np.ndarray:
    """The bucket each text falls into in each band, -1 where it is alone; int64 [texts, BANDS]."""
    buckets = np.empty((len(signatures), BANDS), np.int64)
    for band in range(BANDS):
        rows = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * ROWS))).ravel()
        _, places, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(sizes[places] > 1, places + band * len(signatures), -1)
    return buckets
