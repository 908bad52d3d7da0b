// Package peers is what the servers in Go share.
package peers

import (
	"log"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// Start reads the arguments PORT [PROCS [N]], sets GOMAXPROCS and the limit of descriptors, and returns the port and N.
func Start(fallback int) (string, int) {
	if len(os.Args) < 2 {
		log.Fatalf("usage: %s PORT [PROCS [N]]", os.Args[0])
	}
	number := func(i, fallback int) int {
		if len(os.Args) <= i {
			return fallback
		}
		n, err := strconv.Atoi(os.Args[i])
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	if n := number(2, 0); n > 0 {
		runtime.GOMAXPROCS(n)
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	return os.Args[1], number(3, fallback)
}
