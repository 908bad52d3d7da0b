// echo_hogs: TCP echo server, one goroutine per connection, blocking-style.
//
//	echo_hogs PORT [PROCS [HOGS]]      HOGS (2) goroutines run loops without calls; ECHO_BUF=bytes of buffer per connection (4096)
package main

import (
	"log"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: echo_hogs PORT [PROCS]")
	}
	if len(os.Args) > 2 {
		n, _ := strconv.Atoi(os.Args[2])
		runtime.GOMAXPROCS(n)
	}
	size := 4096
	if s := os.Getenv("ECHO_BUF"); s != "" {
		size, _ = strconv.Atoi(s)
	}
	var rl syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &rl) == nil {
		big := syscall.Rlimit{Cur: 1048576, Max: 1048576}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &big) != nil {
			rl.Cur = rl.Max
			syscall.Setrlimit(syscall.RLIMIT_NOFILE, &rl)
		}
	}
	l, err := net.Listen("tcp4", "0.0.0.0:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	hogs := 2
	if len(os.Args) > 3 {
		hogs, _ = strconv.Atoi(os.Args[3])
	}
	for i := 0; i < hogs; i++ {
		go func() {
			for n := 0; ; n++ {
			}
		}()
	}
	told := false
	for {
		c, err := l.Accept()
		if err != nil { // out of descriptors, most likely: say so once, then wait
			if !told {
				log.Print(err)
				told = true
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(c, size)
	}
}

func serve(c net.Conn, size int) {
	defer c.Close()
	buf := make([]byte, size)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
