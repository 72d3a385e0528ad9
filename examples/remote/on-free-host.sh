#!/bin/sh
# on-free-host.sh HOST,HOST... COMMAND...: runs COMMAND by ssh on the first of the hosts that does nothing else for us.
#
#	make -f pipelines/cpt.mk -j4 ... ON_EVAL='sh examples/remote/on-free-host.sh a,b,c'
#
# make gives out the work (-j), the training goes on here, and three hosts evaluate. They must see the same files under the
# same names (NFS, or a checkout and OUT at the same place) and let us in without a password. A host that cannot be reached
# is passed over for this command; COMMAND's own exit code is ours. Name a host twice to give it two commands at a time.
# SSH names another program than ssh; LOCKS a folder where several makes meet.
set -eu
hosts=$(echo "${1:?usage: on-free-host.sh HOST,HOST... COMMAND...}" | tr , ' ')
shift
locks=${LOCKS:-${TMPDIR:-/tmp}/palimpsest-hosts.$(id -u)}
mkdir -p "$locks"

down=
while :; do
	n=0 busy=
	for host in $hosts; do
		n=$((n + 1))
		case "$down " in *" $n "*) continue ;; esac
		exec 8>"$locks/$n-$host"
		flock -n 8 || { busy=1; continue; }
		code=0
		# ssh joins its words with blanks and a shell over there takes them apart again
		${SSH:-ssh} "$host" "$@" 8>&- &
		trap 'kill -TERM $!; exit 143' TERM
		wait $! || code=$?
		[ $code -eq 255 ] || exit $code # 255: ssh itself failed
		down="$down $n"
	done
	[ "$busy" ] || { echo "on-free-host.sh: no host can be reached: $hosts" >&2; exit 1; }
	sleep 1
done
