"""Rows are what their file says, whatever its format, and a broken file is told by its line."""

import csv
import gzip
import io
import json
import tracemalloc
from datetime import date, datetime

import pyarrow
import pyarrow.parquet
import pytest
from collecting import BANGLA, write
from hypothesis import given
from hypothesis import strategies as st

from kalam.data import reading
from kalam.data.reading import read_rows
from kalam.files.errors import InputError

ROWS = [
    {"text": BANGLA[0], "group": "007"},
    {"text": f'"{BANGLA[1]}",\n\tশেষ', "group": "NA"},
    {"text": "nan", "group": ""},
]


def table(rows, delimiter=",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(columns) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns), sink)
    return sink.getvalue().to_pybytes()


def zstd(body: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(body)
    return sink.getvalue().to_pybytes()


FORMATS = {
    ".jsonl": "".join(json.dumps(row) + "\r\n" for row in ROWS).encode(),
    ".json": json.dumps(ROWS, indent=1).encode(),
    ".csv": table(ROWS),
    ".tsv": table(ROWS, "\t"),
    ".parquet": parquet({name: [row[name] for row in ROWS] for name in ("text", "group")}),
}
COMPRESS = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, form, compression):
    for name in (f"rows of {form}{compression}", f"ROWS{form.upper()}{compression.upper()}"):
        path = write(tmp_path / name, COMPRESS[compression](FORMATS[form]))
        assert [row for _, row in read_rows(path, ["group"])] == ROWS


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_compressed_file_may_have_several_parts(tmp_path, compress):
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(3))
    path = write(tmp_path / ("a.jsonl.gz" if compress is gzip.compress else "a.jsonl.zst"), compress(lines) * 2)
    assert [number for number, _ in read_rows(path)] == [1, 2, 3, 4, 5, 6]
    cut = write(path, compress(lines) + compress(lines)[:-3])
    with pytest.raises(InputError, match=r"a\.jsonl\.(gz|zst):\d: cannot be read: Truncated compressed stream"):
        list(read_rows(cut))


def test_rows_have_the_number_of_their_first_line(tmp_path):
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbftext,group\r\n"a\r\n""b""",1\r\n\r\nc,2')
    assert list(read_rows(path)) == [(2, {"text": 'a\r\n"b"', "group": "1"}), (5, {"text": "c", "group": "2"})]
    path = write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "a"}\r\n\r\n \n\xef\xbb\xbf{"text": "b"}\n\xef\xbb\xbf\n')
    assert list(read_rows(path)) == [(1, {"text": "a"}), (4, {"text": "b"})]
    path = write(tmp_path / "a.txt", "\ufeffএক\r\n\u3000\nদুই\u2028তিন\x0c")
    assert list(read_rows(path, ["text"])) == [(1, {"text": "এক"}), (3, {"text": "দুই\u2028তিন\x0c"})]


def test_values_keep_their_types_and_what_is_no_number_is_none(tmp_path):
    line = (
        '{"n": 1180591620717411303424, "x": [NaN, {"y": [-Infinity, 1e999, 0.5]}], "s": "NaN", "m": [{"role": "user"}]}'
    )
    expected = {"n": 2**70, "x": [None, {"y": [None, None, 0.5]}], "s": "NaN", "m": [{"role": "user"}]}
    assert list(read_rows(write(tmp_path / "a.jsonl", line))) == [(1, expected)]
    assert list(read_rows(write(tmp_path / "a.json", f"[{line}]"))) == [(1, expected)]
    columns = {
        "half": pyarrow.array([1.5, float("nan")], pyarrow.float16()),
        "list": [[1.0, float("inf")], None],
        "struct": [{"x": float("nan"), "y": [{"z": 1}]}, None],
        "map": pyarrow.array([[("a", float("nan"))], None], pyarrow.map_(pyarrow.string(), pyarrow.float64())),
        "time": [datetime(2020, 1, 2), None],
        "day": [date(2020, 1, 2), None],
        "word": pyarrow.array(["a", None]).dictionary_encode(),
    }
    assert list(read_rows(write(tmp_path / "a.parquet", parquet(columns)))) == [
        (
            1,
            {
                "half": 1.5,
                "list": [1.0, None],
                "struct": {"x": None, "y": [{"z": 1}]},
                "map": {"a": None},
                "time": datetime(2020, 1, 2),
                "day": date(2020, 1, 2),
                "word": "a",
            },
        ),
        (2, dict.fromkeys(columns)),
    ]


def test_cells_of_a_table_are_text_from_the_first_to_the_last(tmp_path):
    cells = ["007", "1.0", "nan", "NA", "null", "True", "1e5", "-0", ""]
    path = write(tmp_path / "a.csv", table([{"x": cell, "y": "1"} for cell in cells * 2000]))
    assert [row["x"] for _, row in read_rows(path)] == cells * 2000


def test_long_rows_are_read(tmp_path):
    long = "ক" * 2_000_000
    for name, body in (("a.jsonl", json.dumps({"text": long})), ("a.csv", f'text\n"{long}"'), ("a.txt", long)):
        assert [len(row["text"]) for _, row in read_rows(write(tmp_path / name, body))] == [2_000_000]


def test_tables_make_no_columns_that_are_not_wanted(tmp_path):
    for form in (".csv", ".tsv", ".parquet"):
        path = write(tmp_path / f"a{form}", FORMATS[form])
        assert [row for _, row in read_rows(path, ["text"], ["group", "nothing"])] == [
            {"group": row["group"]} for row in ROWS
        ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a.jsonl.gz", "a.csv.zst"])
@pytest.mark.parametrize("body", ["", "\ufeff", "\n \n"])
def test_a_file_without_a_row_has_none(tmp_path, name, body):
    path = write(tmp_path / name, "" if name[-1] in "zt" else body)
    assert list(read_rows(path, [] if body == "\n \n" else ["text"])) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_column_is_told_with_those_there(tmp_path, form):
    path = write(tmp_path / f"a{form}", FORMATS[form])
    with pytest.raises(InputError) as caught:
        next(read_rows(path, ["text", "book", "page"]))
    assert str(caught.value) == f"{path}: found no column book, page; those there are text, group"


def test_a_column_may_come_late_in_jsonl_and_a_header_is_enough_to_miss_one(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": "a"}] * 5 + [{"group": 1}])
    assert len(list(read_rows(path, ["group"]))) == 6
    with pytest.raises(InputError, match="found no column text; those there are a, b"):
        list(read_rows(write(tmp_path / "a.csv", "a,b\n"), ["text"]))


TWICE = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"])


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n\n{"a": ', "3: not JSON: Expecting value"),
        ("a.jsonl", b'{"a": 1} {"a": 2}', "1: not JSON: Extra data"),
        ("a.jsonl", b'{"a": 1}\n[1]', "2: found list; allowed is a JSON object"),
        ("a.jsonl", b'{"a": 1}\n{"b": {"a": 1, "a": 2}}', "2: found key a twice; allowed is once"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}', "2: not UTF-8: "),
        ("a.jsonl", b'{"a": ' + b"[" * 100_000, "1: not JSON: maximum recursion depth"),
        ("a.jsonl", b'{"a": ' + b"1" * 5000 + b"}", "1: not JSON: Exceeds the limit"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "1: not UTF-8: "),
        ("a.json", b'{"a": 1}', " found dict; allowed is an array of objects, or JSONL as .jsonl"),
        ("a.json", b'{"a": 1}\n{"a": 2}', " not JSON: Extra data: line 2"),
        ("a.json", b'[{"a": 1}, 2]', "2: found int; allowed is a JSON object"),
        ("a.json", b'[{"a": 1},\n{"a": "\xff"}]', "2: not UTF-8: "),
        ("a.csv", b"a,b\n1,2\n1\n", "3: found 1 cells; allowed are 2, as in the header"),
        ("a.csv", b"a,b\n1,2,3\n", "2: found 3 cells; allowed are 2, as in the header"),
        ("a.csv", b"a,b,a\n1,2,3\n", "1: found column 'a' twice; allowed is once"),
        ("a.csv", b"a,,\n1,,\n", "1: found column '' twice; allowed is once"),
        ("a.csv", b'a,b\n1,2\n"x,3\n4,5\n', "3: no row of a table: unexpected end of data"),
        ("a.csv", b"a,b\n1,2\n\xff,3\n", "3: not UTF-8: "),
        ("a.csv", b"a,b\r1,2\r", "1: no row of a table: new-line character seen in unquoted field"),
        ("a.tsv", b'a\tb\n"x" y\t1\n', "2: no row of a table: '\t' expected after '\"'"),
        ("a.txt", b"a\n\xff\n", "2: not UTF-8: "),
        ("a.parquet", b"", "1: cannot be read: "),
        ("a.parquet", FORMATS[".parquet"][:-20], "1: cannot be read: "),
        ("a.parquet", parquet(TWICE), " found column 'a' twice; allowed is once"),
        ("a.parquet", parquet({"a": pyarrow.array([b"x", b"\xff"]).view(pyarrow.string())}), "1: cannot be read: "),
        ("a.jsonl.gz", b'{"a": 1}', "1: cannot be read: "),
        ("a.parquet.zst", zstd(FORMATS[".parquet"])[:-5], " cannot be read: Truncated compressed stream"),
        ("a.xml", b"<a/>", " found .xml; allowed are .jsonl, .json, .csv, .tsv, .parquet, .txt"),
        ("a.gz", b"", " found no suffix; allowed are .jsonl, "),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path, name, body, message):
    path = write(tmp_path / name, body)
    with pytest.raises(InputError) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path}:{message}") and "\n" not in str(caught.value)


def test_more_json_than_fits_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_JSON", 2**20)
    path = write(tmp_path / "a.json.gz", gzip.compress(b"[" + b" " * 2**21 + b"]"))
    with pytest.raises(InputError, match="found more than 1048576 bytes; allowed are 1048576, and more as JSONL"):
        list(read_rows(path))


@pytest.mark.parametrize("form", [".jsonl.gz", ".csv.zst", ".parquet"])
def test_a_file_is_never_held_as_a_whole(tmp_path, form):
    rows = [{"text": f"{number} {BANGLA[0] * 8}"} for number in range(10_000)]  # 25 MB
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    bodies = {
        ".jsonl.gz": lambda: gzip.compress(lines.encode(), 1),
        ".csv.zst": lambda: zstd(table(rows)),
        ".parquet": lambda: parquet({"text": [row["text"] for row in rows]}),
    }
    path = write(tmp_path / f"a{form}", bodies[form]())
    usual, pool = pyarrow.default_memory_pool(), pyarrow.system_memory_pool()
    pyarrow.set_memory_pool(pool)
    before = pool.max_memory()
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path)) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pyarrow.set_memory_pool(usual)
    assert peak + pool.max_memory() - before < 10_000_000


@given(
    st.lists(st.fixed_dictionaries({name: st.text(st.characters(exclude_categories=["Cs"])) for name in ("a", "খ")}))
)
def test_what_csv_and_jsonl_write_is_read_again(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp()
    body = table(rows) if rows else b"a\n"
    assert [row for _, row in read_rows(write(folder / "again.csv", body))] == rows
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    assert [row for _, row in read_rows(write(folder / "again.jsonl", lines))] == rows
