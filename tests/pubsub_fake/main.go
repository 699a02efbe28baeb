// The Pub/Sub that the tests publish to: Google's own fake, made as strict as the service, with a
// record of every request and faults on demand.
//
// It serves gRPC on one loopback port and its control over HTTP on another, prints both addresses
// as one line of JSON when it is ready, and ends when its standard input closes, so that it never
// outlives the process that started it.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	log.SetFlags(0)
	// It shares the machine with what is measured: collecting less often saves it a third of its
	// CPU time, for memory that it can have.
	debug.SetGCPercent(400)
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	fake := pstest.NewServer()
	recorder := newRecorder()
	publisher := &publisher{fake: fake, recorder: recorder, faults: newFaults()}
	endpoint, err := openEndpoint(fake, publisher)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control := &control{fake: fake, publisher: publisher, endpoint: endpoint}
	server := &http.Server{Handler: control.routes(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	ready, err := json.Marshal(map[string]string{
		"pubsub":  endpoint.address,
		"control": listener.Addr().String(),
	})
	if err != nil {
		return err
	}
	fmt.Println(string(ready))

	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}
