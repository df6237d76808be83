"""Writes a made-up Audioscrobbler dump: listeners with known tastes, artists, misspelled names and broken lines.

Demonstrations with this dump need no download. One generator draws everything, so the same seed gives the same dump.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_STYLES = {
    "jazz": ("Quartet", "Trio", "Big Band", "Swing Five"),
    "metal": ("of Doom", "Anvil", "Reaper", "Iron Choir"),
    "techno": ("909", "Sequencer", "Warehouse", "Subsonic"),
    "folk": ("& the Fiddlers", "Ballads", "Hearth", "String Band"),
    "hip hop": ("MC", "Cypher", "Beats Crew", "Mixtape"),
    "classical": ("Philharmonic", "Chamber Players", "Sinfonia", "Consort"),
    "punk": ("Riot", "Spitfires", "Dropouts", "Safety Pins"),
    "reggae": ("Dub Station", "Riddim", "Roots", "Steppers"),
    "ambient": ("Drift", "Tape Loops", "Stillness", "Field Notes"),
    "soul": ("Revue", "Horns", "Sisters", "Brothers"),
}
_FIRST = [
    "Amber",
    "Ashen",
    "Autumn",
    "Blue",
    "Brass",
    "Broken",
    "Copper",
    "Crimson",
    "Distant",
    "Electric",
    "Emerald",
    "Fallen",
    "Feral",
    "Gentle",
    "Ghost",
    "Gilded",
]
_FIRST += [
    "Golden",
    "Hollow",
    "Ivory",
    "Lonely",
    "Lunar",
    "Marble",
    "Midnight",
    "Northern",
    "Paper",
    "Quiet",
    "Rapid",
    "Rusty",
    "Scarlet",
    "Silent",
    "Silver",
]
_SECOND = [
    "Anchors",
    "Avenue",
    "Bridges",
    "Canyons",
    "Crows",
    "Daughters",
    "Engines",
    "Falcons",
    "Foxes",
    "Gardens",
    "Harbor",
    "Hearts",
    "Islands",
    "Kings",
]
_SECOND += [
    "Lanterns",
    "Letters",
    "Machines",
    "Mirrors",
    "Mountains",
    "Parade",
    "Pilots",
    "Rivers",
    "Sailors",
    "Saints",
    "Shadows",
    "Signals",
    "Wolves",
]


@dataclass(frozen=True)
class Planted:
    """The truth behind the made-up data: the style of each artist id, and the styles that each user id likes."""

    style_of_artist: dict[int, str]
    tastes_of_user: dict[int, set[str]]


def write(directory: str | os.PathLike[str], n_listeners: int = 3000, n_artists: int = 1500, seed: int = 0) -> Planted:
    """Write ``user_artist_data.txt``, ``artist_data.txt`` and ``artist_alias.txt`` into a folder.

    Use it to try cymbals without data of your own, or to check whether a model finds known tastes.

    Parameters
    ----------
    directory : path-like
        The folder, which must exist.
    n_listeners, n_artists : int
        Number of users and of artists.
    seed : int
        The same seed writes the same files.

    Returns
    -------
    Planted
        The style of each artist (`style_of_artist`) and the tastes of each user (`tastes_of_user`).
    """
    rng, folder = np.random.default_rng(seed), Path(directory)
    styles = list(_STYLES)
    artist_ids = 1_000_000 + np.sort(rng.choice(n_artists * 20, n_artists, replace=False))
    style = rng.integers(len(styles), size=n_artists)
    names = [
        f"{_FIRST[rng.integers(len(_FIRST))]} {_SECOND[rng.integers(len(_SECOND))]} {rng.choice(_STYLES[styles[s]])}"
        for s in style
    ]
    fame = 1.0 / rng.permutation(np.arange(3, n_artists + 3)) ** 0.8

    # Aliases: one artist in six has a misspelled id. Five of these ids have a misspelled id too, which makes chains. Two
    # new ids are aliases of each other, and the first artist's id is an alias of itself.
    misspelt = rng.choice(n_artists, n_artists // 6, replace=False)
    alias_ids = 3_000_000 + np.arange(misspelt.size)
    aliases = list(zip(alias_ids.tolist(), artist_ids[misspelt].tolist(), strict=True))
    aliases += [(4_000_000 + i, int(alias_ids[i])) for i in range(5)]
    aliases += [(5_000_000, 5_000_001), (5_000_001, 5_000_000), (int(artist_ids[0]), int(artist_ids[0]))]
    alias_of = {int(a): int(i) for a, i in zip(alias_ids, misspelt, strict=True)}
    wrong_id = {artist: alias for alias, artist in alias_of.items()}

    users = 1_000_000 + np.sort(rng.choice(n_listeners * 10, n_listeners, replace=False))
    tastes, lines = {}, []
    for user in users.tolist():
        liked = rng.choice(len(styles), size=rng.integers(1, 3), replace=False)
        tastes[user] = {styles[s] for s in liked}
        weight = fame * np.where(np.isin(style, liked), 1.0, 0.02)
        n = min(int(np.clip(rng.lognormal(3.3, 0.7), 5, 200)), n_artists)
        for artist in rng.choice(n_artists, size=n, replace=False, p=weight / weight.sum()).tolist():
            plays = 1 + int(min(rng.lognormal(1.5, 1.3), 2000))
            if artist in wrong_id and rng.random() < 0.2:
                split = int(rng.integers(1, plays + 1))
                lines.append(f"{user} {wrong_id[artist]} {split}")
                plays -= split
            if plays:
                lines.append(f"{user} {artist_ids[artist]} {plays}")
    broken = [
        f"{users[0]} {artist_ids[0]}",
        f"{users[0]} {artist_ids[0]} many",
        f"{users[1]} {artist_ids[1]} -3",
        "1 2 3 4",
    ]
    for line in broken:
        lines.insert(int(rng.integers(len(lines))), line)

    described = [f"{i}\t{name}".encode() for i, name in zip(artist_ids, names, strict=True)]
    described += [f"{a}\t{_misspell(names[i])}".encode() for a, i in alias_of.items()]
    described += [b"6000001 no tab here", b"six\tNot a number", b"6000002\t", b"6000003\tCaf\xe9 Latin-1"]
    _write(folder / "user_artist_data.txt", [line.encode() for line in lines], b"\n")
    _write(folder / "artist_data.txt", described, b"\r\n")
    _write(folder / "artist_alias.txt", [f"{a}\t{b}".encode() for a, b in aliases] + [b"\t1000001"], b"\n")
    style_of = {int(i): styles[s] for i, s in zip(artist_ids, style, strict=True)}
    return Planted(style_of, tastes)


def _misspell(name: str) -> str:
    """Exchanges the third and the fourth letter."""
    return name[:2] + name[3] + name[2] + name[4:]


def _write(path: Path, lines: list[bytes], end: bytes) -> None:
    path.write_bytes(end.join(lines) + end)
