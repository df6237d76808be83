"""Downloads the source package of a Debian release and unpacks the original source, without Debian's changes.

python packaging/source.py RELEASE PACKAGE FOLDER
"""

import io
import lzma
import re
import sys
import tarfile
import urllib.request
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"


def fetch(release, package, folder):
    """Unpacks the source into a new folder, without the top folder of the archive."""
    index = lzma.decompress(urllib.request.urlopen(f"{MIRROR}/dists/{release}/main/source/Sources.xz").read()).decode()
    entry = [entry for entry in index.split("\n\n") if entry.startswith(f"Package: {package}\n")][-1]  # the newest
    place, name = re.search(r"^Directory: (.*)$", entry, re.M)[1], re.search(r"\S+\.orig\.tar\.\wz", entry)[0]
    archive = urllib.request.urlopen(f"{MIRROR}/{place}/{name}").read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for member in packed:
            member.name = member.name.partition("/")[2]
            if member.name:
                packed.extract(member, folder, filter="tar")
    return Path(folder)


if __name__ == "__main__":
    fetch(*sys.argv[1:])
