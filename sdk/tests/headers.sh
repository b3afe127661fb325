#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone, as C11 and as C++, with warnings as errors; and what it declares as functions is exported.
srcdir=${srcdir:-.} builddir=${builddir:-.}
CC=${CC:-gcc} CXX=${CXX:-g++}
failed=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cxx=yes
command -v "${CXX%% *}" > /dev/null || { cxx=no; echo "no C++ compiler: only C is tried"; }
for h in "$srcdir"/sdk/include/postbus/*.h; do
	name=$(basename "$h")
	echo "#include <postbus/$name>" > "$dir/a.c"
	cp "$dir/a.c" "$dir/a.cc"
	$CC -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$srcdir/sdk/include" -fsyntax-only "$dir/a.c" || { echo "FAIL: $name alone as C11"; failed=1; }
	[ $cxx = no ] || $CXX -std=c++17 -Wall -Wextra -Werror -I"$srcdir/sdk/include" -fsyntax-only "$dir/a.cc" || { echo "FAIL: $name alone as C++"; failed=1; }
	grep -oE '\bpb_[a-z0-9_]+\(' "$h" | tr -d '(' | sort -u > "$dir/names"
	grep -E '^static inline' "$h" | grep -oE '\bpb_[a-z0-9_]+\(' | tr -d '(' > "$dir/inline"
	# declarations begin at the first column and end in ");" or an attribute
	for f in $(grep -vFxf "$dir/inline" "$dir/names"); do
		grep -qE "^[a-z].*\\b$f\\(" "$h" || continue
		grep -qx "$f" "$srcdir/sdk/symbols.txt" || { echo "FAIL: $name declares $f, which libpostbus does not export"; failed=1; }
	done
done
exit $failed
