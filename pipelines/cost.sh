#!/bin/sh
# cost.sh DIR > cost.tsv: what a study took, by stage, from all traces under DIR, and what lies on the disk there.
set -eu
dir=${1:?usage: cost.sh DIR}
find "$dir" -path '*/.run/trace.tsv' -exec cat {} + | LC_ALL=C awk -F '\t' '
/^#/ || $1 == "stage" { next }
{
	stage = $1
	if (!(stage in jobs))
		order[++n] = stage
	jobs[stage]++
	failed[stage] += $9 != 0
	seconds[stage] += $3 - $2
	if ($4 != "-")
		cpu[stage] += $4
	else
		unknown[stage]++
	if ($5 != "-" && $5 > peak[stage])
		peak[stage] = $5
	if ($8 == "-")
		dark[stage]++
	joules[stage] += $8
}
END {
	print "#palimpsest-study-cost 1\tcost.sh"
	print "stage\tjobs\tfailed\thours\tcpu_hours\tpeak_mib\tenergy_wh"
	for (i = 1; i <= n; i++) {
		s = order[i]
		printf "%s\t%d\t%d\t%.4f\t%s\t%s\t%s\n", s, jobs[s], failed[s], seconds[s] / 3600, \
			unknown[s] ? "-" : sprintf("%.4f", cpu[s] / 3600), peak[s] ? sprintf("%.0f", peak[s] / 1024) : "-", \
			dark[s] ? "missing" : sprintf("%.2f", joules[s] / 3600)
		all_jobs += jobs[s]; all_failed += failed[s]; all += seconds[s]; all_cpu += cpu[s]; all_joules += joules[s]
		all_unknown += unknown[s]; all_dark += dark[s]
		if (peak[s] > most) most = peak[s]
	}
	printf "all\t%d\t%d\t%.4f\t%s\t%s\t%s\n", all_jobs, all_failed, all / 3600, all_unknown ? "-" : sprintf("%.4f", all_cpu / 3600), \
		most ? sprintf("%.0f", most / 1024) : "-", all_dark ? "missing" : sprintf("%.2f", all_joules / 3600)
}'
