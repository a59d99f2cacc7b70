#!/bin/sh
# Builds every kernel program into the folder given (or this one), so that the same compiler gives the same bytes
# wherever it runs: no path of the machine gets in, and no header but our own is read.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=$(mkdir -p "${1:-$here}" && cd "${1:-$here}" && pwd)
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}
cd "$here"
for source in *.bpf.c; do
	object="$to/${source%.c}.o"
	"$clang" -target bpf -mcpu=v3 -O2 -g -nostdinc -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable \
		-ffile-prefix-map="$here"=. -fdebug-compilation-dir=. -c "$source" -o "$object"
	# Drops the debugger's information and keeps the type information that loaders read.
	"$strip" -g "$object"
done
cd "$to"
{
	"$clang" --version | head -n 1
	sha256sum *.bpf.o
} >OBJECTS
