#!/bin/sh
# Holds the tree against its layers; prints every offender and fails if there is one.
#
#   - an include never goes to a higher rank. A source's rank is the list in CMakeLists.txt that names it; a header's is in its
#     first line ("/* Rank 3. ..."); public headers are rank 0, arch/ is rank 1; a source and the header of its name have one rank
#   - every source is in a list, and every file of a list exists
#   - only arch/ names an architecture or holds assembly
#   - only runtime/os*, runtime/san.c and net/netpoll_* name a system or call it (arch/*.S may know object formats)
#   - only runtime/atomic.h knows atomic operations
#   - public headers include libc and each other only; examples and benchmarks include public headers and their own only, but for
#     bench/switch.c, which measures what has no public name
#
# Usage: layers.sh ROOT
set -eu
cd "$1"

# Lines "rank file" of the lists in CMakeLists.txt, with every architecture in place of the chosen one.
listed=$(awk '
	/^set\(WEFT_RANK_[0-9]/ { rank = $0; sub(/^set\(WEFT_RANK_/, "", rank); rank = substr(rank, 1, 1) }
	rank != "" && /^\t/ {
		file = $1
		sub(/\)$/, "", file)
		if (index(file, "${WEFT_ARCH}") == 0)
			print rank, file
		else
			for (i = split("x86_64 aarch64", arch, " "); i > 0; i--) {
				variant = file
				sub(/\$\{WEFT_ARCH\}/, arch[i], variant)
				print rank, variant
			}
	}
	/\)$/ { rank = "" }' CMakeLists.txt)
files=$(find include runtime net arch examples bench -type f -name '*.[chS]' | LC_ALL=C sort)

printf '%s\n' "$listed" | awk -v files="$files" '
	function offend(what) { print what; offenders++ }

	# The line without comments; strings stay, since includes look like them.
	function code(line,    out, at) {
		out = ""
		while (line != "") {
			if (in_comment) {
				at = index(line, "*/")
				if (!at)
					return out
				line = substr(line, at + 2)
				in_comment = 0
			} else {
				at = index(line, "/*")
				if (!at)
					return out line
				out = out substr(line, 1, at - 1)
				line = substr(line, at + 2)
				in_comment = 1
			}
		}
		return out
	}

	# Whether a name of the list is used in the code as a function.
	function calls(text, names,    n, list, i) {
		n = split(names, list, " ")
		for (i = 1; i <= n; i++)
			if ((" " text) ~ ("[^A-Za-z0-9_>.]" list[i] "[ ]*\\("))
				return list[i]
		return ""
	}

	function directory(file) { sub(/[^\/]*$/, "", file); return file }

	function simplify(path) {
		while (path ~ /[^\/.]+\/\.\.\//)
			sub(/[^\/.]+\/\.\.\//, "", path)
		return path
	}

	# The file of the tree that an include names, "" for one of the system.
	function resolve(file, name, quoted,    i, try) {
		if (!quoted) {
			try = "include/" name
			return (try in rank) ? try : ""
		}
		split(directory(file) " runtime/ net/ include/", places, " ")
		for (i = 1; i <= 4; i++) {
			try = simplify(places[i] name)
			if (try in rank)
				return try
		}
		return "?"
	}

	function check_include(file, line,    name, quoted, target) {
		name = line
		quoted = line ~ /include[ \t]*"/
		gsub(/^[^<"]*[<"]|[>"].*$/, "", name)
		if (name == "atomic_ops.h" && file != "runtime/atomic.h")
			offend(file ":" number ": only runtime/atomic.h includes <atomic_ops.h>")
		if (name == "stdatomic.h")
			offend(file ":" number ": includes <stdatomic.h>")
		target = resolve(file, name, quoted)
		if (target == "?")
			offend(file ":" number ": includes \"" name "\", which is not in the tree")
		else if (target == "" || directory(target) == directory(file))
			;
		else if (file ~ /^include\//)
			offend(file ":" number ": a public header includes " target)
		else if (file ~ /^(examples|bench)\// && file != "bench/switch.c" && target !~ /^(include\/weft|examples|bench)\//)
			offend(file ":" number ": includes " target ", which is not public")
		if (target != "" && target != "?" && rank[target] > rank[file])
			offend(file ":" number ": rank " rank[file] " includes " target " of rank " rank[target])
	}

	function check_line(file, line,    os, name) {
		os = file ~ /^runtime\/(os[_.]|san\.c)/ || file ~ /^net\/netpoll_/
		if (line ~ /^[ \t]*#[ \t]*include/) {
			check_include(file, line)
			return
		}
		if (file ~ /^(examples|bench|include)\//)
			return
		if (file !~ /^arch\//) {
			if (line ~ /__(x86_64|amd64|aarch64|arm64|i386|arm)__|__x86_64|_M_X64/)
				offend(file ":" number ": names an architecture")
			if (line ~ /__asm__|[^A-Za-z0-9_]asm[ (]/ && line !~ /__asm__ volatile\("" /)
				offend(file ":" number ": assembly outside of arch/")
			if (!os && line ~ /__(linux|gnu_linux|APPLE|FreeBSD|OpenBSD|NetBSD)__|_WIN32/)
				offend(file ":" number ": names a system")
		}
		if (file != "runtime/atomic.h" && line ~ /__atomic_|__sync_|_Atomic|(^|[^A-Za-z0-9_])AO_/)
			offend(file ":" number ": an atomic operation outside of runtime/atomic.h")
		if (file != "runtime/init.c" && (name = calls(line, locks)) != "")
			offend(file ":" number ": " name ": locks are those of runtime/lock.h")
		if (!os && (name = calls(line, system_calls)) != "")
			offend(file ":" number ": calls " name " outside of runtime/os* and net/netpoll_*")
	}

	BEGIN {
		# runtime/init.c may: its lock is held for as long as the runtime takes to stop.
		locks = "pthread_mutex_lock pthread_cond_wait pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_spin_lock"
		system_calls = "syscall epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 kqueue kevent eventfd " \
			"timerfd_create timerfd_settime signalfd poll ppoll select pselect futex membarrier " \
			"pthread_create pthread_join pthread_detach pthread_self pthread_kill pthread_sigmask " \
			"clock_gettime clock_nanosleep nanosleep usleep sleep sched_yield sched_getaffinity " \
			"mmap munmap mprotect madvise process_madvise sigaction sigaltstack signal sigprocmask prctl " \
			"socket bind listen accept accept4 connect shutdown getsockopt setsockopt getsockname getpeername " \
			"read readv pread recv recvfrom recvmsg writev pwrite send sendto sendmsg sendfile open openat close " \
			"dup dup2 fcntl ioctl pipe pipe2 fork _exit"
		count = split(files, file_list, "\n")
		for (i = 1; i <= count; i++) {
			file = file_list[i]
			if (file ~ /^include\//)
				rank[file] = 0
			else if (file ~ /^arch\/.*\.h$/)
				rank[file] = 1
			else if (file ~ /^(examples|bench)\//)
				rank[file] = 7
			else if (file ~ /\.h$/) {
				if ((getline first < file) > 0 && first ~ /^\/\* Rank [1-7][.,]/)
					rank[file] = substr(first, 9, 1)
				else
					offend(file ": the first line does not say \"/* Rank N. ...\"")
				close(file)
			}
			present[file] = 1
		}
	}

	{
		if (!($2 in present))
			offend("CMakeLists.txt: lists " $2 ", which does not exist")
		rank[$2] = $1
	}

	END {
		for (i = 1; i <= count; i++) {
			file = file_list[i]
			if (!(file in rank)) {
				if (file !~ /\.h$/)
					offend(file ": in no list of CMakeLists.txt")
				continue
			}
			header = file
			if (sub(/\.c$/, ".h", header) && (header in rank) && rank[header] != rank[file])
				offend(file ": rank " rank[file] ", but its header says " rank[header])
			in_comment = 0
			for (number = 1; (getline line < file) > 0; number++)
				check_line(file, code(line))
			close(file)
		}
		if (offenders)
			print offenders " offenders"
		else
			print count " files keep to their layers"
		exit offenders > 0
	}'
