# Functions of scripts/bench.sh, which sets: root build peers results rounds seconds out. Results are lines "WHO NAME VALUE UNIT" in
# $out.
# shellcheck shell=sh disable=SC2154

everybody="weft epoll nginx go threads uv boost tokio loom"

as() { sed "s/^/$1 /" >>"$out"; }

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

# by PROGRAM [AWK-OPTION]... FILE...: by a program of bench/ that needs medians.
by() {
	program=$1
	shift
	awk -f "$root/bench/median.awk" -f "$root/bench/$program.awk" "$@"
}

table() { by table -v everybody="$everybody" "$out"; }

# The last CPU: the load's. Servers are on CPU 0.
load_cpu=$(($(nproc) - 1))

# ---- micro -----------------------------------------------------------------------------------------------------------------

# run_micro WHO PROCS PROGRAM SIZES: sizes by commas, "-" for the defaults. A peer that does not know the program says so by exit.
run_micro() {
	words=$(echo "$4" | sed 's/^-$//; s/,/ /g')
	case $1 in
	weft) set -- "$1" "$2" "$build/bench/$3" "" ;;
	*) set -- "$1" "$2" "$peers/$1_micro" "$3" ;;
	esac
	on=
	[ "$1" != threads ] || on="taskset -c 0-$(($2 - 1))"
	# shellcheck disable=SC2086 -- words
	WEFT_MAXPROCS=$2 GOMAXPROCS=$2 PROCS=$2 timeout 120 $on "$3" $4 $words 2>/dev/null | as "$1"
}

# run_micro_list FILE ROUNDS: everybody's turn for each line of the list.
run_micro_list() {
	for round in $(seq "$2"); do
		grep -v '^#' "$1" | while read -r program sizes threads_sizes procs; do
			for p in $(echo "${procs:-1,2}" | tr , ' '); do
				[ ! -x "$build/bench/$program" ] || run_micro weft "$p" "$program" "$sizes"
				[ "$threads_sizes" = - ] || ! have threads_micro ||
					run_micro threads "$p" "$program" "$threads_sizes"
				[ "$sizes" != - ] || continue
				for who in go tokio loom; do
					! have "${who}_micro" || run_micro "$who" "$p" "$program" "$sizes"
				done
				! have boost_micro || [ "$p" -ne 1 ] || run_micro boost 1 "$program" "$sizes"
			done
		done
	done
}

# ---- servers ---------------------------------------------------------------------------------------------------------------

next_port=$((20000 + $$ % 10000))

# start_command PROCS COMMAND...: a server on $next_port; sets pid and port, fails if it does not listen. With one processor it is
# on CPU 0.
start_command() {
	procs=$1
	shift
	[ "$procs" -ne 1 ] || set -- taskset -c 0 "$@"
	port=$next_port
	next_port=$((next_port + 1))
	WEFT_MAXPROCS=$procs "$@" >/dev/null 2>&1 &
	pid=$!
	for try in $(seq 100); do
		[ "$try" -eq 1 ] || sleep 0.05
		"$build/bench/load" -q -c 0 --idle 1 "$port" >/dev/null 2>&1 && return 0
	done
	echo "$* does not listen" >&2
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

# load PROCS OPTION...: runs the load generator at the server and prints its last line. With two processors nothing has a CPU of its
# own, and it has two threads.
load() {
	if [ "$1" -eq 1 ]; then
		shift
		set -- taskset -c "$load_cpu" "$build/bench/load" "$@"
	else
		shift
		set -- "$build/bench/load" -t 2 "$@"
	fi
	"$@" -q -w 0.3 -d "$seconds" --pid "$pid" "$port" || echo "load on port $port: status $?" >&2
}

# Keys of the load generator, as rows of a table; none if nothing was answered.
rows() {
	awk -v name="$1" '
		BEGIN {
			split("rps srv_cpu_per_1M p50_us p99_us p999_us", key)
			split("rps cpu p50 p99 p999", row)
			split("1/s us us us us", unit)
		}
		/^result:/ {
			for (i = 1; i <= NF; i++) {
				at = index($i, "=")
				value[substr($i, 1, at - 1)] = substr($i, at + 1)
			}
			for (i = 1; i in key && value["requests"] > 0; i++)
				print name "." row[i], value[key[i]], unit[i]
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
