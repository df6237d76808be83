"""The data sets that can be fetched: where their files are, on what terms, and whether their publishers give checksums.

No checksum stands here, because we have seen none at its publisher's. MovieLens' are read beside its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_MOVIELENS = "https://files.grouplens.org/datasets/movielens/"
_LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data/"


@dataclass(frozen=True)
class Download:
    """A file to download.

    Attributes
    ----------
    url : str
        Its address.
    members : mapping of str to str
        If the file is an archive: the files to take from it, and the names that they get. If not, it is empty.
    md5_beside : bool
        Whether the publisher has the MD5 at the same address with ``.md5`` appended.
    """

    url: str
    members: Mapping[str, str] = field(default_factory=dict)
    md5_beside: bool = False

    @property
    def name(self) -> str:
        """The name of the file, without its address."""
        return self.url.rpartition("/")[2]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that stay in the cache."""
        return tuple(self.members.values()) or (self.name,)


@dataclass(frozen=True)
class Dataset:
    """A data set: its name for `fetch`, what it is, the size of its downloads, its terms, and its publisher's page."""

    name: str
    title: str
    size: str
    terms: str
    page: str
    downloads: tuple[Download, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files that stay in the cache."""
        return tuple(name for download in self.downloads for name in download.files)


def _movielens(
    size: str, title: str, megabytes: float, folder: str, files: tuple[str, str], redistribution: str
) -> Dataset:
    address = f"{_MOVIELENS}ml-{size}.zip"
    members = {f"{folder}/{name}": name for name in files}
    return Dataset(
        name=f"movielens-{size}",
        title=f"MovieLens {title} with times and titles",
        size=f"{megabytes:g} MB",
        terms=f"for research; commercial use only with GroupLens' permission; {redistribution}; cite Harper, Konstan 2015",
        page=f"https://grouplens.org/datasets/movielens/{size.removesuffix('-small')}/",
        downloads=(Download(address, members, md5_beside=True),),
    )


def _lightgcn(name: str, title: str) -> Dataset:
    return Dataset(
        name=name,
        title=f"{title}, split into train and test as in the LightGCN paper",
        size="a few MB" if name != "amazon-book" else "about 20 MB",
        terms="no licence of the split is known to cymbals; cite He et al. 2020 and the source of the data",
        page="https://github.com/gusye1234/LightGCN-PyTorch",
        downloads=tuple(Download(f"{_LIGHTGCN}{name}/{part}.txt") for part in ("train", "test")),
    )


_DAT, _CSV = ("ratings.dat", "movies.dat"), ("ratings.csv", "movies.csv")
_NOT, _SAME = "redistribution only with permission", "redistribution only under the same terms"
_ALL = (
    Dataset(
        name="audioscrobbler-2005",
        title="Audioscrobbler's dump of May 2005: play counts, artist names and aliases",
        size="about 135 MB",
        terms="Creative Commons BY-NC-SA 1.0",
        page="https://github.com/sryza/aas",
        downloads=(
            Download(
                # a copy by the authors of "Advanced Analytics with Spark"; cymbals knows no address of the publisher
                "https://storage.googleapis.com/aas-data-sets/profiledata_06-May-2005.tar.gz",
                {
                    f"profiledata_06-May-2005/{name}.txt": f"{name}.txt"
                    for name in ("user_artist_data", "artist_data", "artist_alias")
                },
            ),
        ),
    ),
    Dataset(
        name="hetrec-lastfm-2k",
        title="HetRec 2011 Last.fm: play counts and artist names of 1,892 listeners",
        size="about 2.5 MB",
        terms="for non-commercial use; cite Cantador, Brusilovsky and Kuflik 2011",
        page="https://grouplens.org/datasets/hetrec-2011/",
        downloads=(
            Download(
                "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
                {name: name for name in ("user_artists.dat", "artists.dat")},
            ),
        ),
    ),
    Dataset(
        name="lastfm-360k",
        title="Last.fm 360K: the most played artists of 360,000 listeners",
        size="569 MB",
        terms="for non-commercial use, with permission of Last.fm; cite Celma 2010",
        page="https://zenodo.org/records/6090214",
        downloads=(
            Download(
                "https://zenodo.org/records/6090214/files/lastfm-dataset-360K.tar.gz",
                {"lastfm-dataset-360K/usersha1-artmbid-artname-plays.tsv": "usersha1-artmbid-artname-plays.tsv"},
            ),
        ),
    ),
    _movielens("latest-small", "latest small: 100,000 ratings", 1, "ml-latest-small", _CSV, _SAME),
    _movielens("100k", "100K: 100,000 ratings", 5, "ml-100k", ("u.data", "u.item"), _NOT),
    _movielens("1m", "1M: 1 million ratings", 6, "ml-1m", _DAT, _NOT),
    _movielens("10m", "10M: 10 million ratings", 66, "ml-10M100K", _DAT, _NOT),
    _movielens("20m", "20M: 20 million ratings", 199, "ml-20m", _CSV, _SAME),
    _movielens("25m", "25M: 25 million ratings", 262, "ml-25m", _CSV, _SAME),
    _movielens("32m", "32M: 32 million ratings", 239, "ml-32m", _CSV, _SAME),
    _lightgcn("gowalla", "Gowalla check-ins"),
    _lightgcn("yelp2018", "Yelp 2018 reviews"),
    _lightgcn("amazon-book", "Amazon book reviews"),
    Dataset(
        name="taste-profile",
        title="Million Song taste profile: play counts of songs by a million listeners",
        size="about 500 MB",
        terms="its publisher's terms, which cymbals does not know; read them on the page first; cite McFee et al. 2012",
        page="http://millionsongdataset.com/tasteprofile/",
        downloads=(
            Download(
                "http://millionsongdataset.com/sites/default/files/challenge/train_triplets.txt.zip",
                {"train_triplets.txt": "train_triplets.txt"},
            ),
        ),
    ),
)
CATALOG: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}
