package main

import (
	"context"
	"strconv"
	"sync"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// publisher stands before the fake's Publish.
type publisher struct {
	fake     *pstest.Server
	recorder *recorder
	faults   *faults

	// One commit at a time, so that the record's order is that of the fake.
	commits sync.Mutex
}

func (p *publisher) intercept(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
) (any, error) {
	publish, ok := request.(*pubsubpb.PublishRequest)
	if !ok {
		return handle(ctx, request)
	}
	size := proto.Size(publish)
	key := p.recorder.begin(publish, size)
	defer p.recorder.end(key)
	if err := refusal(publish, size); err != nil {
		p.recorder.refused(mixesKeys(publish.GetMessages()))
		return nil, err
	}
	fault := p.faults.next(publish, size)
	if fault == nil {
		return p.commit(ctx, publish, size, handle)
	}
	p.recorder.faulted()
	switch fault.action {
	case "status":
		fault.wait()
		return nil, fault.status()
	case "delay":
		fault.wait()
		return p.commit(ctx, publish, size, handle)
	default:
		if _, err := p.commit(ctx, publish, size, handle); err != nil {
			return nil, err
		}
		fault.wait()
		return nil, fault.status()
	}
}

// commit hands the messages to the fake, if it is to keep them, and records them.
func (p *publisher) commit(
	ctx context.Context, request *pubsubpb.PublishRequest, size int, handle grpc.UnaryHandler,
) (any, error) {
	p.commits.Lock()
	defer p.commits.Unlock()
	var reply any
	var err error
	if p.recorder.keepsAll() {
		reply, err = handle(ctx, request)
	} else {
		reply, err = p.count(ctx, request)
	}
	if err == nil {
		p.recorder.committed(request, size)
	}
	return reply, err
}

// count answers as the fake would, which would remember every message.
func (p *publisher) count(ctx context.Context, request *pubsubpb.PublishRequest) (any, error) {
	_, err := p.fake.GServer.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: request.GetTopic()})
	if err != nil {
		return nil, err
	}
	next := p.recorder.messageCount()
	ids := make([]string, len(request.GetMessages()))
	for index := range ids {
		ids[index] = "c" + strconv.Itoa(next+index)
	}
	return &pubsubpb.PublishResponse{MessageIds: ids}, nil
}
