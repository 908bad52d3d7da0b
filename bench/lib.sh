# Functions of scripts/bench.sh, which sets: root build peers results seconds work out round. Figures are lines as rounds.awk has
# them, in $out; $dropped has a line for each run that gave none and should have.
# shellcheck shell=sh disable=SC2154

everybody="weft epoll nginx go threads uv boost tokio loom"
dropped=$work/dropped

# as WHO: gives lines "NAME VALUE UNIT [late]" a round and a name.
as() { sed "s/^/$round $1 /" >>"$out"; }

drop() { echo "dropped: $*, round $round" >>"$dropped"; }

# have PROGRAM: of a peer.
have() { [ -x "$peers/$1" ]; }

# say_absent KIND WHO...: names those whose program is not there.
say_absent() {
	kind=$1
	shift
	for who; do
		have "${who}_$kind" || echo "skipped: $who: no ${who}_$kind in $peers"
	done
}

title() { printf '\n== %s\n' "$*"; }

# by PROGRAM [AWK-OPTION]... FILE...: by a program of bench/ that reads figures.
by() {
	program=$1
	shift
	awk -f "$root/bench/rounds.awk" -f "$root/bench/$program.awk" "$@"
}

table() { by table -v everybody="$everybody" "$out"; }

# The last CPU: the load's. Servers are on CPU 0.
load_cpu=$(($(nproc) - 1))

# ---- the machine -----------------------------------------------------------------------------------------------------------

# in_seconds HZ: of the first line of /proc/stat and the second of `times`: "BUSY STOLEN ALL" and "OWN". Not by print, which knows
# only six digits: of a machine that has been up for a week tens of seconds.
in_seconds() {
	awk -v hz="$1" '
		function seconds(t) { return t * 60 + substr(t, index(t, "m") + 1) } # "1m2.3s"
		$1 == "cpu" {
			for (i = 2; i <= 9; i++) # user, nice, system, idle, iowait, irq, softirq, steal
				all += $i
			printf "%.2f %.2f %.2f\n", (all - $5 - $6 - $9) / hz, $9 / hz, all / hz
			next
		}
		{ printf "%.2f\n", seconds($1) + seconds($2) }'
}

# spent FILE: seconds of CPU since the machine started, and in the next line this script's, of children that have ended. (In no
# subshell: that has no children yet.)
spent() {
	times >"$work/times"
	{ sed -n 1p /proc/stat; sed -n 2p "$work/times"; } | in_seconds "$(getconf CLK_TCK)" >"$1"
}

# disturbed FILE WHAT: what others have taken from the machine since `spent FILE`: the host, and who else runs here.
disturbed() {
	spent "$work/spent"
	cat "$1" "$work/spent" | awk -v what="$2" -v load="$(cut -d' ' -f1 /proc/loadavg)" -v cpus="$(nproc)" '
		NF == 3 { busy = $1 - busy; stolen = $2 - stolen; all = $3 - all }
		NF == 1 { own = $1 - own }
		END {
			others = busy > own ? busy - own : 0
			all = all > 0 ? all : 1
			printf "%s: steal %.1f %%, others %.1f %% of %d CPUs, load %s\n", what, 100 * stolen / all,
				100 * others / all, cpus, load
		}'
}

# ---- micro -----------------------------------------------------------------------------------------------------------------

# run_micro WHO PROCS PROGRAM SIZES: sizes by commas, "-" for the defaults. A peer that does not know the program ends with 2.
run_micro() {
	words=$(echo "$4" | sed 's/^-$//; s/,/ /g')
	case $1 in
	weft) set -- "$1" "$2" "$build/bench/$3" "" ;;
	*) set -- "$1" "$2" "$peers/$1_micro" "$3" ;;
	esac
	on=
	[ "$1" != threads ] || on="taskset -c 0-$(($2 - 1))"
	# shellcheck disable=SC2086 -- words
	{
		status=0
		WEFT_MAXPROCS=$2 GOMAXPROCS=$2 PROCS=$2 timeout 120 $on "$3" $4 $words 2>/dev/null || status=$?
		case $status in
		0 | 2) ;;
		124) drop "$1 with $2: ${3##*/} $4 $words: takes two minutes" ;;
		*) drop "$1 with $2: ${3##*/} $4 $words: ends with $status" ;;
		esac
	} | as "$1"
}

# Loom takes as long as all others together, most of it for its compiler: it has a third of the rounds.
loom_has_turn() { have loom_micro && [ $((round % 3)) -eq 1 ]; }

# run_micro_list FILE ROUNDS: everybody's turn for each line of the list.
run_micro_list() {
	for round in $(seq "$2"); do
		grep -v '^#' "$1" | while read -r program sizes threads_sizes procs loom_sizes; do
			for p in $(echo "${procs:-1,2}" | tr , ' '); do
				[ ! -x "$build/bench/$program" ] || run_micro weft "$p" "$program" "$sizes"
				[ "$threads_sizes" = - ] || ! have threads_micro ||
					run_micro threads "$p" "$program" "$threads_sizes"
				[ "$sizes" != - ] || continue
				for who in go tokio; do
					! have "${who}_micro" || run_micro "$who" "$p" "$program" "$sizes"
				done
				! loom_has_turn || run_micro loom "$p" "$program" "${loom_sizes:-$sizes}"
				! have boost_micro || [ "$p" -ne 1 ] || run_micro boost 1 "$program" "$sizes"
			done
		done
	done
}

# ---- servers ---------------------------------------------------------------------------------------------------------------

# Not empty: nothing has a CPU of its own, however many processors a server has.
loose=

next_port=$((20000 + $$ % 10000))

# start_command PROCS COMMAND...: a server on $next_port; sets pid and port, fails if it does not listen. With one processor it is
# on CPU 0.
start_command() {
	procs=$1
	shift
	[ "$procs" -ne 1 ] || [ -n "$loose" ] || set -- taskset -c 0 "$@"
	port=$next_port
	next_port=$((next_port + 1))
	WEFT_MAXPROCS=$procs "$@" >/dev/null 2>&1 &
	pid=$!
	for try in $(seq 100); do
		[ "$try" -eq 1 ] || sleep 0.05
		"$build/bench/load" -q -c 0 --idle 1 "$port" >/dev/null 2>&1 && return 0
	done
	drop "$*: does not listen"
	stop_server
	return 1
}

# start_server WHO KIND PROCS
start_server() {
	case $1 in
	weft) start_command "$3" "$build/examples/$2" --listen "127.0.0.1:$next_port" ;;
	nginx)
		command -v nginx >/dev/null && [ "$2" = http ] && [ "$3" -eq 1 ] || return 1
		start_command 1 nginx -p "$work" -c "$(nginx_conf)"
		;;
	*) have "$1_$2" && start_command "$3" "$peers/$1_$2" "$next_port" "$3" ;;
	esac
}

stop_server() {
	kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
	pid=
}

# A process that serves alone, as the others do.
nginx_conf() {
	cat >"$work/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $work/nginx.pid;
		error_log /dev/null;
		worker_rlimit_nofile $(ulimit -Hn);
		events { worker_connections $(ulimit -Hn); }
		http {
			access_log off;
			keepalive_requests 1000000000;
			server {
				listen 127.0.0.1:$next_port backlog=4096;
				location / { default_type text/plain; return 200 "Hello, World!"; }
			}
		}
	END
	echo "$work/nginx.conf"
}

# load PROCS OPTION...: runs the load generator at the server and prints its last line, if all went well and anything was answered.
# With two processors nothing has a CPU of its own, and it has two threads.
load() {
	asked=$*
	if [ "$1" -eq 1 ] && [ -z "$loose" ]; then
		shift
		set -- taskset -c "$load_cpu" "$build/bench/load" "$@"
	else
		shift
		set -- "$build/bench/load" -t 2 "$@"
	fi
	if ! "$@" -q -w 0.2 -d "$seconds" --pid "$pid" "$port" >"$work/load" 2>/dev/null; then
		drop "$one: load $asked: something wrong, refused or not answered"
	elif grep -q " requests=0 " "$work/load"; then
		drop "$one: load $asked: no request in its time"
	else
		cat "$work/load"
	fi
}

# Keys of the load generator, as rows of a table; of 1,000 connections also what memory the server has resident for each, itself
# included. A latency is late if half of it or more is what the generator itself took too long at the same percentile (open loop).
rows() {
	awk -v name="$1" '
		BEGIN {
			split("rps srv_cpu_per_1M p50_us p99_us p999_us", key)
			split("- - behind_p50_us behind_p99_us behind_p999_us", own)
			split("rps cpu p50 p99 p999", row)
			split("1/s us us us us", unit)
		}
		/^result:/ {
			for (i = 1; i <= NF; i++) {
				at = index($i, "=")
				value[substr($i, 1, at - 1)] = substr($i, at + 1)
			}
			for (i = 1; i in key; i++) {
				is_late = i > 2 && 2 * value[own[i]] >= value[key[i]]
				print name "." row[i], value[key[i]], unit[i], is_late ? "late" : ""
			}
			if (value["conns"] == 1000)
				print name ".rss", value["srv_rss"] / 1000, "bytes"
		}'
}

# measure NAME KIND PROCS WHOS OPTION...: each of them once under this load.
measure() {
	name=$1 server=$2 number=$3 whos=$4
	shift 4
	[ "$server" != http ] || set -- --http "$@"
	for one in $whos; do
		start_server "$one" "$server" "$number" || continue
		load "$number" "$@" | rows "$name" | as "$one"
		stop_server
	done
}
