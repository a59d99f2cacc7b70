#!/bin/sh
# Builds the kernel programs of a folder (this one, or the second argument) into a folder (the same, or the first), so
# that the same compiler gives the same bytes wherever it runs: no path of the machine gets in, and no header but our
# own is read. `OBJECTS` says by which compiler, and what came out.
set -eu
from=$(cd "${2:-$(dirname "$0")}" && pwd)
to=$(mkdir -p "${1:-$from}" && cd "${1:-$from}" && pwd)
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}
cd "$from"
for source in *.bpf.c; do
	object="$to/${source%.c}.o"
	"$clang" -target bpf -mcpu=v3 -O2 -g -nostdinc -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable \
		-ffile-prefix-map="$from"=. -fdebug-compilation-dir=. -c "$source" -o "$object"
	# Drops the debugger's information and keeps the type information that loaders read.
	"$strip" -g "$object"
done
cd "$to"
{
	"$clang" --version | head -n 1
	sha256sum *.bpf.o
} >OBJECTS
