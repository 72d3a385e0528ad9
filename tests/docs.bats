#!/usr/bin/env bats
# Every tool against its manual page. A tool that is added is found by its file.
load common

setup() {
	scratch
	tools=()
	local c
	for c in "$root"/tools/*.c; do
		c=$(basename "$c" .c)
		[ ! -x "${BUILD:-$root/build}/bin/$c" ] || tools+=("$c")
	done
	[ "${#tools[@]}" -gt 0 ]
}

# each COMMAND...: runs it with every tool's name behind it; says which fail.
each() {
	local t bad=0
	for t in "${tools[@]}"; do
		"$@" "$t" || { echo "$t"; bad=1; }
	done
	return $bad
}

need_mandoc() {
	command -v mandoc > /dev/null || skip "no mandoc"
}

# page TOOL: the page as plain text, in lines that are not broken.
page() {
	mandoc -T ascii -O width=1000 "$root/man/$1.1" | sed 's/.\x08//g'
}

@test "every tool has a page" {
	has_page() { [ -s "$root/man/$1.1" ]; }
	each has_page
}

@test "-h and --help: on stdout, exit 0, the same, no line over 140 but the synopsis" {
	helps() {
		run --separate-stderr "$1" -h
		[ "$status" -eq 0 ] && [ -n "$output" ] && [ -z "$stderr" ] || return 1
		[[ ${lines[0]} == "usage: $1"* ]] || return 1
		[ "$output" = "$("$1" --help)" ] || return 1
		! tail -n +2 <<< "$output" | grep -E '.{141}'
	}
	each helps
}

@test "-h needs room" {
	full() {
		local code=0
		"$1" -h > /dev/full 2> err || code=$?
		[ $code -eq 1 ] && grep -q "^$1: cannot write stdout: " err
	}
	each full
}

@test "--version: name and version" {
	version() { [ "$("$1" --version)" = "$1 $(sed -n 's/.*PALIMPSEST_VERSION "\(.*\)"/\1/p' "$root/tools/lib/options.h")" ]; }
	each version
}

@test "an unknown option: exit 2, one line" {
	unknown() {
		fails 2 "$1: unknown option: --no-such-option" -- "$1" --no-such-option &&
			fails 2 "$1: unknown option: -@" -- "$1" -@
	}
	each unknown
}

@test "NAME says what the help says" {
	need_mandoc
	purpose() {
		local p
		p=$(page "$1" | sed -n '/^NAME/{n;s/^ *//;p;}')
		[ "$p" = "$1 - $("$1" -h | sed -n "s/^$1: //p" | head -n 1)" ] || [ "$p" = "$1 -- $("$1" -h | sed -n "s/^$1: //p" | head -n 1)" ] ||
			{ echo "page: $p"; return 1; }
	}
	each purpose
}

@test "SYNOPSIS is the help's first line" {
	need_mandoc
	synopsis() {
		local in_page in_help
		in_page=$(page "$1" | sed -n '/^SYNOPSIS/,/^[A-RT-Z]/{/^ /p;}' | tr -d '[:space:]')
		in_help=$("$1" -h | sed -n '1s/^usage: //p' | tr -d '[:space:]')
		[ -n "$in_help" ] && [ "$in_page" = "$in_help" ] || { printf 'page: %s\nhelp: %s\n' "$in_page" "$in_help"; return 1; }
	}
	each synopsis
}

@test "the page has the options of the help, and no others" {
	same_options() {
		# those that every tool has may stand in palimpsest(7) alone
		local common='^(-h|--help|--version|-q|--quiet)$'
		grep '^\.It ' "$root/man/$1.1" | grep -oE 'Fl [^ ]+' | sed 's/^Fl /-/' | grep -vE -- "$common" | sort -u > in_page || :
		"$1" -h | grep -E '^  +-' | grep -oE '^ +(-.)?(, )?(--[a-z0-9-]+)?' | grep -oE -- '--?[a-zA-Z0-9][a-z0-9-]*' |
			grep -vE -- "$common" | sort -u > in_help || :
		diff in_page in_help
	}
	each same_options
}

@test "every page has exit codes, examples and references" {
	sections() {
		local s
		for s in "EXIT STATUS" EXAMPLES "SEE ALSO"; do
			grep -qE "^\.Sh \"?$s" "$root/man/$1.1" || { echo "no $s"; return 1; }
		done
	}
	each sections
}

@test "palimpsest(7) names every tool and every format" {
	local p
	named() { grep -q "^\.It Xr $1 1" "$root/man/palimpsest.7"; }
	each named
	for p in "$root"/man/*.5; do
		p=$(basename "$p" .5)
		grep -q "^\.It Xr $p 5" "$root/man/palimpsest.7" || { echo "$p"; return 1; }
	done
}

@test "references lead to pages that exist" {
	local bad=0 page name section
	while read -r page name section; do
		case $name in
		palimpsest*) ;;
		*) [ -e "$root/tools/$name.c" ] || continue ;;
		esac
		[ -e "$root/man/$name.$section" ] || { echo "$page: $name($section)"; bad=1; }
	done < <(grep -HoE '\.?Xr [^ ]+ [1-8]' "$root"/man/*.[157] | sed -E 's/^.*\/([^:]*):\.?Xr ([^ ]+) ([0-9])/\1 \2 \3/')
	return $bad
}

@test "mandoc has nothing to say about the pages" {
	need_mandoc
	run mandoc -T lint -W warning "$root"/man/*.[157]
	[ -z "$output" ]
}

@test "groff, too, has the pages whole" {
	command -v groff >/dev/null || skip "no groff (Debian: groff-base)"
	local p
	for p in "$root"/man/*.[157]; do
		run groff -mdoc -Tutf8 -z "$p"
		[ -z "$output" ] || { echo "$p"; false; }
	done
}
