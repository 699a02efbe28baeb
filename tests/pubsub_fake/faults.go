package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rule says what happens to some Publish requests. All given conditions must hold; a condition
// about messages holds if one of the request's messages meets it.
type rule struct {
	Match struct {
		OrderingKey       string            `json:"ordering_key"`
		OrderingKeySuffix string            `json:"ordering_key_suffix"`
		Attributes        map[string]string `json:"attributes"`
		DataContains      string            `json:"data_contains"`
		MinBytes          int               `json:"min_bytes"`
		MinMessages       int               `json:"min_messages"`
		// Nth skips the first nth-1 requests for which the other conditions hold.
		Nth int `json:"nth"`
	} `json:"match"`
	// Action is "status" (answered with Code, not committed), "delay" (committed after DelayMS,
	// also if the caller is gone by then) or "lose_response" (committed, then answered with Code
	// after DelayMS). Clearing the faults ends a delay.
	Action  string  `json:"action"`
	Code    *code   `json:"code"`
	DelayMS float64 `json:"delay_ms"`
	// Times is how often it happens: 1 by default, -1 for ever.
	Times *int `json:"times"`

	matched, fired int
}

// code reads "UNAVAILABLE".
type code codes.Code

func (c *code) UnmarshalJSON(text []byte) error { return (*codes.Code)(c).UnmarshalJSON(text) }

func (r *rule) check() error {
	switch r.Action {
	case "status", "delay", "lose_response":
	default:
		return fmt.Errorf("action %q is not one of status, delay, lose_response", r.Action)
	}
	if r.Code == nil {
		unavailable := code(codes.Unavailable)
		r.Code = &unavailable
	}
	if codes.Code(*r.Code) == codes.OK {
		return fmt.Errorf("code OK is no fault")
	}
	if r.Times == nil {
		once := 1
		r.Times = &once
	}
	return nil
}

func (r *rule) holds(request *pubsubpb.PublishRequest, size int) bool {
	messages, match := request.GetMessages(), &r.Match
	key := messages[0].GetOrderingKey()
	if match.OrderingKey != "" && key != match.OrderingKey ||
		!strings.HasSuffix(key, match.OrderingKeySuffix) ||
		size < match.MinBytes || len(messages) < match.MinMessages {
		return false
	}
	if len(match.Attributes) == 0 && match.DataContains == "" {
		return true
	}
	for _, message := range messages {
		if r.meets(message) {
			return true
		}
	}
	return false
}

func (r *rule) meets(message *pubsubpb.PubsubMessage) bool {
	for key, value := range r.Match.Attributes {
		if message.GetAttributes()[key] != value {
			return false
		}
	}
	return bytes.Contains(message.GetData(), []byte(r.Match.DataContains))
}

// fault is what happens to one request.
type fault struct {
	action string
	code   codes.Code
	delay  time.Duration
	// Closed when the faults are cleared, which ends the delay.
	cleared <-chan struct{}
}

func (f *fault) wait() {
	timer := time.NewTimer(f.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.cleared:
	}
}

func (f *fault) status() error { return status.Error(f.code, "a fault that the test asked for") }

// faults are the rules in force; the first that holds is taken.
type faults struct {
	mu      sync.Mutex
	rules   []*rule
	cleared chan struct{}
}

func newFaults() *faults { return &faults{cleared: make(chan struct{})} }

func (f *faults) add(r *rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
	close(f.cleared)
	f.cleared = make(chan struct{})
}

// next is the fault that this request suffers, or nil.
func (f *faults) next(request *pubsubpb.PublishRequest, size int) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if *r.Times >= 0 && r.fired >= *r.Times || !r.holds(request, size) {
			continue
		}
		r.matched++
		if r.matched < r.Match.Nth {
			continue
		}
		r.fired++
		delay := time.Duration(r.DelayMS * float64(time.Millisecond))
		return &fault{r.Action, codes.Code(*r.Code), delay, f.cleared}
	}
	return nil
}
