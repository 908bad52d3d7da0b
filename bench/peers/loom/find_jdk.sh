#!/bin/sh
# Prints the directory of a java and javac with virtual threads (21 and later), nothing if there is none.
for java in "${JAVA_HOME:-/nowhere}/bin/java" "$(command -v java)" /usr/lib/jvm/*/bin/java; do
	[ -x "$java" ] && [ -x "${java%java}javac" ] || continue
	version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
	if [ "${version:-0}" -ge 21 ]; then
		dirname "$java"
		exit 0
	fi
done
