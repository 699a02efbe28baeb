package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// control is the HTTP side.
type control struct {
	fake      *pstest.Server
	publisher *publisher
	endpoint  *endpoint
}

func (c *control) routes() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /stats", c.stats)
	routes.HandleFunc("GET /messages", c.messages)
	routes.HandleFunc("GET /wait", c.wait)
	routes.HandleFunc("POST /topics", answer(c.createTopic))
	routes.HandleFunc("POST /faults", answer(c.addFault))
	routes.HandleFunc("DELETE /faults", answer(func(*http.Request) error {
		c.publisher.faults.clear()
		return nil
	}))
	routes.HandleFunc("POST /mode", answer(c.setMode))
	routes.HandleFunc("POST /reset", answer(c.reset))
	routes.HandleFunc("POST /down", answer(func(*http.Request) error {
		c.endpoint.down()
		return nil
	}))
	routes.HandleFunc("POST /up", answer(func(*http.Request) error { return c.endpoint.up() }))
	return routes
}

// answer answers 204, or 400 with the error's text.
func answer(act func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		if err := act(request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// decode reads the body; an unknown field is an error, not a condition that never holds.
func decode(request *http.Request, into any) error {
	decoder := json.NewDecoder(request.Body)
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func (c *control) stats(w http.ResponseWriter, _ *http.Request) {
	stats, _ := c.publisher.recorder.stats()
	writeJSON(w, stats)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// An error here means that the caller is gone.
	_ = json.NewEncoder(w).Encode(value)
}

// messages streams the record as one JSON object a line, from the index ?from= on.
func (c *control) messages(w http.ResponseWriter, request *http.Request) {
	from, err := number(request, "from", 0)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	records, keys := c.publisher.recorder.from(from)
	w.Header().Set("Content-Type", "application/x-ndjson")
	buffer := bufio.NewWriterSize(w, 1<<16)
	encoder := json.NewEncoder(buffer)
	for offset := range records {
		if encoder.Encode(line(from+offset, &records[offset], keys)) != nil {
			return
		}
	}
	_ = buffer.Flush()
}

type messageLine struct {
	Index       int               `json:"index"`
	Request     uint32            `json:"request"`
	Topic       string            `json:"topic"`
	OrderingKey string            `json:"ordering_key"`
	Attributes  map[string]string `json:"attributes"`
	Data        []byte            `json:"data"` // base64
	CommittedMS float64           `json:"committed_ms"`
}

func line(index int, entry *record, keys []orderingKey) messageLine {
	key := keys[entry.key]
	attributes := entry.message.GetAttributes()
	if entry.message == nil {
		attributes = map[string]string{"event_id": hex.EncodeToString(entry.id[:])}
	}
	return messageLine{
		Index:       index,
		Request:     entry.request,
		Topic:       key.topic,
		OrderingKey: key.key,
		Attributes:  attributes,
		Data:        entry.message.GetData(),
		CommittedMS: float64(entry.committed) / 1e6,
	}
}

// wait answers with the counters once each named one is at least as large, or after ?timeout_ms=.
func (c *control) wait(w http.ResponseWriter, request *http.Request) {
	timeout, err := number(request, "timeout_ms", 10_000)
	messages, errMessages := number(request, "messages", 0)
	distinct, errDistinct := number(request, "distinct_event_ids", 0)
	attempts, errAttempts := number(request, "attempts", 0)
	faults, errFaults := number(request, "faults", 0)
	err = errors.Join(err, errMessages, errDistinct, errAttempts, errFaults)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	timer := time.NewTimer(time.Duration(timeout) * time.Millisecond)
	defer timer.Stop()
	for {
		stats, changed := c.publisher.recorder.stats()
		reached := stats.Messages >= messages && stats.DistinctEventIDs >= distinct &&
			stats.Attempts >= attempts && stats.Faults >= faults
		if reached {
			writeJSON(w, map[string]any{"reached": true, "stats": stats})
			return
		}
		select {
		case <-changed:
		case <-request.Context().Done():
			return
		case <-timer.C:
			writeJSON(w, map[string]any{"reached": false, "stats": stats})
			return
		}
	}
}

func number(request *http.Request, name string, otherwise int) (int, error) {
	text := request.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 {
		return 0, fmt.Errorf("%s is %q, not a number from 0 on", name, text)
	}
	return value, nil
}

// createTopic makes a topic, and a subscription to it if one is named; existing ones stay.
func (c *control) createTopic(request *http.Request) error {
	var wanted struct {
		Topic        string `json:"topic"`
		Subscription string `json:"subscription"`
		Ordered      bool   `json:"ordered"`
	}
	if err := decode(request, &wanted); err != nil {
		return err
	}
	server, ctx := &c.fake.GServer, context.Background()
	_, err := server.CreateTopic(ctx, &pubsubpb.Topic{Name: wanted.Topic})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return err
	}
	if wanted.Subscription == "" {
		return nil
	}
	_, err = server.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name:                  wanted.Subscription,
		Topic:                 wanted.Topic,
		AckDeadlineSeconds:    600,
		EnableMessageOrdering: wanted.Ordered,
	})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}

func (c *control) addFault(request *http.Request) error {
	var wanted rule
	if err := decode(request, &wanted); err != nil {
		return err
	}
	if err := wanted.check(); err != nil {
		return err
	}
	c.publisher.faults.add(&wanted)
	return nil
}

func (c *control) setMode(request *http.Request) error {
	var wanted struct {
		Keep string `json:"keep"`
	}
	if err := decode(request, &wanted); err != nil {
		return err
	}
	return c.publisher.recorder.setKeep(wanted.Keep)
}

// reset forgets messages, counters and faults; topics, subscriptions and the mode stay.
func (c *control) reset(*http.Request) error {
	c.publisher.faults.clear()
	c.publisher.recorder.reset()
	c.fake.ClearMessages()
	return nil
}
