"""Reading and cleaning the Audioscrobbler files: rejected lines, names, aliases."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from bad_input import check_refused

import cymbals
from cymbals import audioscrobbler


def write_dump(folder, plays, artists=b"", aliases=b"", small=False):
    end = "_small.txt" if small else ".txt"
    for name, text in (("user_artist_data", plays), ("artist_data", artists), ("artist_alias", aliases)):
        (folder / f"{name}{end}").write_bytes(text)
    return folder


@pytest.mark.parametrize("small", [False, True])
def test_audioscrobbler_cleaning(tmp_path, small):
    plays = b"1 10 5\n1 11 2\r\n2 12 1\n2 13 1\n\n3 20 4\nbad\n1 10\n1 x 3\n1 10 -4\n3 30 1\n3 31 1\n3 40 9"
    artists = b"10\tTen\r\n11\tTenn\n12\tTwelve\twith tab\nno tab\nx\tY\n13\t\n20\tCaf\xe9\n10\tTen again\n30\tLoop\n"
    aliases = b"11\t10\n12\t11\n13\t12\n20\t20\n30\t31\n31\t30\n\t5\n11\t99\n"
    raw = cymbals.audioscrobbler.read(write_dump(tmp_path, plays, artists, aliases, small))
    assert raw.plays.shape == (8, 3)
    assert raw.aliases.columns.tolist() == ["misspelled", "canonical"]
    assert dict(zip(raw.artists["artist"], raw.artists["name"], strict=True))[12] == "Twelve\twith tab"
    data = raw.clean()
    assert data.item_ids.tolist() == [10, 20, 30, 40]
    assert data.user_items.toarray().tolist() == [[7, 0, 0, 0], [2, 0, 0, 0], [0, 4, 2, 9]]
    assert data.item_names.tolist() == ["Ten", "Caf\ufffd", "Loop", None]
    report = data.report
    assert report["rows"] == 8
    assert report["pairs"] == 5
    assert report["pairs_merged"] == 3
    assert report["artists_before"] == 7 + 1 - 0
    assert report["alias_cycles"] == 1
    assert report["alias_chains"] >= 2
    assert report["artists_without_name"] == 1
    assert report["names_not_utf8"] == 1
    assert {(r.reason, r.lines, r.first_line) for r in raw.rejected if r.file.startswith("user")} == {
        ("wrong number of fields", 2, 7), ("not a whole number", 1, 9), ("negative number", 1, 10)
    }  # fmt: skip
    assert {r.reason for r in raw.rejected if r.file.startswith("artist_data")} == {
        "no tab", "artist id is not a whole number", "empty name"
    }  # fmt: skip


def test_audioscrobbler_sample(data_folder):
    data = cymbals.audioscrobbler.load(data_folder("audioscrobbler_small"))
    report = data.report
    assert (report["rows"], report["pairs"], report["users"], report["artists"]) == (49481, 48943, 50, 30100)
    assert report["artists_without_name"] == 139
    folder = data_folder("audioscrobbler_small")
    plays = pd.read_csv(folder / "user_artist_data_small.txt", sep=" ", names=["user", "artist", "n"])
    alias = pd.read_csv(folder / "artist_alias_small.txt", sep="\t", names=["bad", "good"])
    plays["artist"] = plays["artist"].map(dict(zip(alias.bad, alias.good, strict=True))).fillna(plays["artist"]).astype(int)
    slow = plays.groupby(["user", "artist"])["n"].sum()
    coo = data.user_items.tocoo()
    ours = pd.Series(
        coo.data, index=pd.MultiIndex.from_arrays([data.user_ids[coo.row], data.item_ids[coo.col]])
    ).sort_index()
    assert np.array_equal(ours.to_numpy(), slow.sort_index().to_numpy())


def test_empty_files_and_missing_ones(tmp_path):
    assert cymbals.audioscrobbler.load(write_dump(tmp_path, b"")).shape == (0, 0)
    (tmp_path / "artist_data.txt").unlink()
    (tmp_path / "artist_alias.txt").unlink()
    assert cymbals.audioscrobbler.load(tmp_path).report["missing_artist_alias"] == 1
    (tmp_path / "user_artist_data.txt").unlink()
    with pytest.raises(FileNotFoundError, match="user_artist_data"):
        cymbals.audioscrobbler.load(tmp_path)


def test_aliases_chains_and_cycles_of_any_length(tmp_path):
    """An id becomes the last id of its chain of aliases; if the chain ends in a cycle, the smallest id of the cycle."""
    rng = np.random.default_rng(0)
    for trial in range(20):
        n = int(rng.integers(1, 400))
        wrong = rng.permutation(n)[: rng.integers(1, n + 1)]
        right = (wrong + 1) % n if trial % 4 == 0 else rng.integers(0, n, wrong.size)
        (tmp_path / "user_artist_data.txt").write_text("".join(f"1 {a} 1\n" for a in range(n)))
        (tmp_path / "artist_alias.txt").write_text("".join(f"{a}\t{b}\n" for a, b in zip(wrong, right, strict=True)))
        target = {int(a): int(b) for a, b in zip(wrong, right, strict=True) if a != b}

        def final(a, target=target):
            seen = []
            while a in target and a not in seen:
                seen.append(a)
                a = target[a]
            return min(seen[seen.index(a) :]) if a in seen else a

        raw = cymbals.audioscrobbler.read(tmp_path)
        misspelled, canonical, _ = raw.canonical()
        want = {a: final(a) for a in target if final(a) != a}
        assert dict(zip(misspelled.tolist(), canonical.tolist(), strict=True)) == want
        assert raw.clean().item_ids.tolist() == sorted({final(a) for a in range(n)})


def test_parts_share_the_names_and_names_do_not_keep_raw_events_alive(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("1 2 3\n1 4 1\n2 2 5\n")
    (tmp_path / "artist_data.txt").write_bytes(b"2\tTwo\n9999999999999999999\tfar\n4\tF\xf6ur\n")
    raw = cymbals.audioscrobbler.read(tmp_path)
    plays = weakref.ref(raw)
    data = raw.clean()
    assert [(r.reason, r.lines, r.first_line) for r in raw.rejected] == [("number too large", 1, 2)]
    del raw
    gc.collect()
    assert plays() is None
    train, _ = cymbals.split.random(data, test_fraction=0.4, seed=0)
    assert train.item_names is data.item_names
    assert data.item_names.tolist() == ["Two", "F\ufffdur"]


def test_a_byte_order_mark_costs_no_line(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("\ufeff1 2 3\n4 5 6\n", encoding="utf-8")
    (tmp_path / "artist_data.txt").write_text("\ufeff2\tBlur\n5\tPulp\n", encoding="utf-8")
    data = audioscrobbler.load(tmp_path)
    assert data.user_items.sum() == 9
    assert data.item_names.tolist() == ["Blur", "Pulp"]
    assert data.report["lines_rejected"] == 0


def test_a_file_without_a_valid_line_is_refused(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("1,2,3\n4,5,6\n")
    with pytest.raises(ValueError, match=r"every line was rejected: 2 for .*first on line 1"):
        audioscrobbler.load(tmp_path)


LINES = {
    "one field": b"1",
    "two fields": b"1 2",
    "four fields": b"1 2 3 4",
    "word": b"1 two 3",
    "float": b"1 2 3.5",
    "exponent": b"1 2 1e3",
    "negative count": b"1 2 -3",
    "negative id": b"-1 2 3",
    "huge": b"1 2 99999999999999999999999",
    "just too large": b"9223372036854775808 2 3",
    "nul": b"1 2 \x003",
    "not utf-8": b"1 2 \xff\xfe",
    "comma": b"1,2,3",
    "plus": b"1 + 2",
    "hex": b"0x1 2 3",
    "very long": b"1 2 " + b"9" * 100_000,
    "many fields": b"1 " * 5000,
}


@pytest.mark.parametrize("name", LINES)
def test_a_rejected_line_is_counted_and_other_lines_are_kept(name, tmp_path):
    (tmp_path / "user_artist_data.txt").write_bytes(b"1 2 3\n" + LINES[name] + b"\n1 3 4\r\n")
    (tmp_path / "artist_data.txt").write_bytes(b"2\tTwo\n" + LINES[name] + b"\n3\tThree\n")
    (tmp_path / "artist_alias.txt").write_bytes(b"9\t2\n" + LINES[name] + b"\n")
    raw = audioscrobbler.read(tmp_path)
    assert raw.play_rows.tolist() == [[1, 2, 3], [1, 3, 4]]
    assert [(r.lines, r.first_line) for r in raw.rejected if r.file == "user_artist_data.txt"] == [(1, 2)]
    data = raw.clean()
    assert data.nnz == 2
    assert data.item_names.tolist() == ["Two", "Three"]


CASES = {"read absent": (lambda folder: audioscrobbler.read(folder), "user_artist_data")}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, tmp_path):
    call, words = CASES[name]
    check_refused(lambda: call(tmp_path), words)
