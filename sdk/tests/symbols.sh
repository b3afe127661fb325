#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What libpostbus exports must be what sdk/symbols.txt lists: a change of the ABI is a change of that file.
# To accept a change: sh sdk/tests/symbols.sh --update
srcdir=${srcdir:-.} builddir=${builddir:-.}
lib=$builddir/.libs/libpostbus.so
[ -f "$lib" ] || { echo "SKIP: $lib is not there"; exit 77; }
have=$(mktemp) || exit 1
trap 'rm -f "$have"' EXIT
nm -D --defined-only "$lib" | awk '{ print $3 }' | grep -Ev '^(__|_init$|_fini$|_edata$|_end$|asan|ubsan)' | LC_ALL=C sort > "$have"
if [ "$1" = --update ]; then
	cp "$have" "$srcdir/sdk/symbols.txt"
	exit
fi
if grep -v '^pb_' "$have"; then
	echo "FAIL: exported without the prefix pb_"
	exit 1
fi
diff -u "$srcdir/sdk/symbols.txt" "$have" || { echo "FAIL: the exported symbols are not those of sdk/symbols.txt"; exit 1; }
