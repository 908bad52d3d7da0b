// echo PORT [PROCS [HOGS]]: TCP echo, a goroutine per connection, 4096 bytes of buffer each; HOGS (0) more run loops without calls.
package main

import (
	"log"
	"net"
	"time"

	"weft/bench/peers"
)

func hog() {
	for n := 0; ; n++ {
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err = conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func main() {
	port, hogs := peers.Start(0)
	listener, err := net.Listen("tcp4", "0.0.0.0:"+port)
	if err != nil {
		log.Fatal(err)
	}
	for ; hogs > 0; hogs-- {
		go hog()
	}
	for {
		conn, err := listener.Accept()
		if err != nil { // no descriptors left, for one
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(conn)
	}
}
