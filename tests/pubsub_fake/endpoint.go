package main

import (
	"errors"
	"net"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// Beyond the service's 10 MB, so that the limit is refused by name and not by the transport.
	maxReceive = 12 << 20
	// A request of 10 MB should not wait for window updates.
	window = 16 << 20
)

// endpoint is the gRPC port: it can go away, with all connections, and come back.
type endpoint struct {
	address   string
	fake      *pstest.Server
	publisher *publisher

	mu     sync.Mutex
	server *grpc.Server
}

func openEndpoint(fake *pstest.Server, publisher *publisher) (*endpoint, error) {
	e := &endpoint{address: "127.0.0.1:0", fake: fake, publisher: publisher}
	return e, e.up()
}

// up listens, at the same port as before; nothing happens if it does already.
func (e *endpoint) up() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", e.address)
	if err != nil {
		return err
	}
	e.address = listener.Addr().String()
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.InitialWindowSize(window),
		grpc.InitialConnWindowSize(window),
		// Clients that keep their connections alive are not to be sent away for it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: time.Second, PermitWithoutStream: true,
		}),
		grpc.UnaryInterceptor(e.publisher.intercept),
	)
	pubsubpb.RegisterPublisherServer(server, &e.fake.GServer)
	pubsubpb.RegisterSubscriberServer(server, &e.fake.GServer)
	pubsubpb.RegisterSchemaServiceServer(server, &e.fake.GServer)
	e.server = server
	go func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			panic(err)
		}
	}()
	return nil
}

// down cuts all connections and refuses new ones; what was being committed still is.
func (e *endpoint) down() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		e.server.Stop()
		e.server = nil
	}
}
