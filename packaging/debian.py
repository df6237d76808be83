"""Downloads a package of a Debian release and unpacks it into a folder.

python packaging/debian.py source RELEASE PACKAGE FOLDER        the original source, without Debian's changes
python packaging/debian.py ARCHITECTURE RELEASE PACKAGE FOLDER  the files of the binary package, with dpkg-deb
"""

import io
import lzma
import re
import subprocess
import sys
import tarfile
import urllib.request

MIRROR = "http://deb.debian.org/debian"


def read(path):
    """Returns a file of the mirror as bytes."""
    return urllib.request.urlopen(f"{MIRROR}/{path}").read()


def find(index, package):
    """Returns the newest entry of a package in an index of a release."""
    entries = lzma.decompress(read(index)).decode().split("\n\n")
    return [entry for entry in entries if entry.startswith(f"Package: {package}\n")][-1]


def fetch_source(release, package, folder):
    """Unpacks the source into a folder, without the top folder of the archive."""
    entry = find(f"dists/{release}/main/source/Sources.xz", package)
    place, name = re.search(r"^Directory: (.*)$", entry, re.M)[1], re.search(r"\S+\.orig\.tar\.\wz", entry)[0]
    with tarfile.open(fileobj=io.BytesIO(read(f"{place}/{name}"))) as packed:
        for member in packed:
            member.name = member.name.partition("/")[2]
            if member.name:
                packed.extract(member, folder, filter="tar")


def fetch_binary(architecture, release, package, folder):
    """Unpacks the binary package into a folder."""
    entry = find(f"dists/{release}/main/binary-{architecture}/Packages.xz", package)
    archive = read(re.search(r"^Filename: (.*)$", entry, re.M)[1])
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", "/dev/stdin"], input=archive, stdout=subprocess.PIPE, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(unpacked.stdout)) as packed:
        packed.extractall(folder, filter="tar")


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "source":
        fetch_source(*rest)
    else:
        fetch_binary(kind, *rest)
