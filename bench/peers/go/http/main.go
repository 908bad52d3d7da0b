// http PORT [PROCS]: "Hello, World!" by net/http.
package main

import (
	"log"
	"net/http"

	"weft/bench/peers"
)

func main() {
	port, _ := peers.Start(0)
	body := []byte("Hello, World!")
	hello := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	}
	server := http.Server{Addr: "0.0.0.0:" + port, Handler: http.HandlerFunc(hello)}
	log.Fatal(server.ListenAndServe())
}
