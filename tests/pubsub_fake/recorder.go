package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// What is kept of each message.
const (
	// Everything, and the fake gets the messages: its subscribers can pull them.
	keepAll = "all"
	// All but the data; the fake gets nothing. For long runs that look at the order.
	keepAttributes = "attributes"
	// Ordering key and event_id, 40 bytes; the fake gets nothing. For benches.
	keepCount = "count"
)

// eventID is the attribute event_id: 32 hexadecimal digits, or the digest of any other text.
type eventID [16]byte

func parseEventID(text string) (id eventID) {
	if len(text) == 2*len(id) {
		if _, err := hex.Decode(id[:], []byte(text)); err == nil {
			return id
		}
	}
	digest := sha256.Sum256([]byte(text))
	copy(id[:], digest[:])
	return id
}

type orderingKey struct{ topic, key string }

// record is one committed message.
type record struct {
	id        eventID
	committed int64 // nanoseconds since the epoch
	message   *pubsubpb.PubsubMessage
	request   uint32
	key       uint32 // index in recorder.keys
}

// counters are what GET /stats shows.
type counters struct {
	// Publish requests that arrived, were committed, were refused for a limit, suffered a fault.
	Attempts int `json:"attempts"`
	Requests int `json:"requests"`
	Refused  int `json:"refused"`
	Faults   int `json:"faults"`
	// Refused for more than one ordering key.
	MixedKeys int `json:"mixed_keys"`
	// Committed messages, and the bytes of their encoded requests.
	Messages int `json:"messages"`
	Bytes    int `json:"bytes"`
	// Among the committed messages with the attribute event_id.
	DistinctEventIDs int `json:"distinct_event_ids"`
	Duplicates       int `json:"duplicates"`
	OrderingKeys     int `json:"ordering_keys"`
	// Messages in a committed request, on average.
	MeanMessages float64 `json:"mean_messages"`
	// Among all attempts.
	LargestBytes      int `json:"largest_bytes"`
	LargestMessages   int `json:"largest_messages"`
	MaxInFlight       int `json:"max_in_flight"`
	MaxInFlightPerKey int `json:"max_in_flight_per_key"`
	// Milliseconds since the epoch; 0 before the first.
	FirstCommitMS float64 `json:"first_commit_ms"`
	LastCommitMS  float64 `json:"last_commit_ms"`
}

// recorder remembers what was published, in commit order.
type recorder struct {
	mu       sync.Mutex
	keep     string
	counters counters
	records  []record
	keys     []orderingKey
	keyIndex map[orderingKey]uint32
	seen     map[eventID]struct{}
	inFlight map[orderingKey]int
	running  int
	// Closed and replaced at each change.
	changed chan struct{}
}

func newRecorder() *recorder {
	r := &recorder{keep: keepAll, inFlight: map[orderingKey]int{}, changed: make(chan struct{})}
	r.reset()
	return r
}

// reset forgets what was published; the mode stays.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters = counters{}
	r.records, r.keys = nil, nil
	r.keyIndex = map[orderingKey]uint32{}
	r.seen = map[eventID]struct{}{}
}

func (r *recorder) setKeep(keep string) error {
	if keep != keepAll && keep != keepAttributes && keep != keepCount {
		return fmt.Errorf("keep %q is not one of all, attributes, count", keep)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep = keep
	return nil
}

func (r *recorder) keepsAll() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keep == keepAll
}

func (r *recorder) messageCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counters.Messages
}

// begin notes that a request arrived, and returns its key for end.
func (r *recorder) begin(request *pubsubpb.PublishRequest, size int) orderingKey {
	key := orderingKey{topic: request.GetTopic()}
	if messages := request.GetMessages(); len(messages) > 0 {
		key.key = messages[0].GetOrderingKey()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.counters
	c.Attempts++
	c.LargestBytes = max(c.LargestBytes, size)
	c.LargestMessages = max(c.LargestMessages, len(request.GetMessages()))
	r.running++
	c.MaxInFlight = max(c.MaxInFlight, r.running)
	r.inFlight[key]++
	if key.key != "" {
		c.MaxInFlightPerKey = max(c.MaxInFlightPerKey, r.inFlight[key])
	}
	r.notify()
	return key
}

// end notes that a request was answered.
func (r *recorder) end(key orderingKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	if r.inFlight[key]--; r.inFlight[key] == 0 {
		delete(r.inFlight, key)
	}
}

func (r *recorder) refused(mixedKeys bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters.Refused++
	if mixedKeys {
		r.counters.MixedKeys++
	}
	r.notify()
}

func (r *recorder) faulted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters.Faults++
	r.notify()
}

// committed records the messages of a request that was taken.
func (r *recorder) committed(request *pubsubpb.PublishRequest, size int) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.counters
	c.LastCommitMS = float64(now.UnixMicro()) / 1e3
	if c.Requests == 0 {
		c.FirstCommitMS = c.LastCommitMS
	}
	key := r.intern(orderingKey{request.GetTopic(), request.GetMessages()[0].GetOrderingKey()})
	for _, message := range request.GetMessages() {
		entry := record{committed: now.UnixNano(), request: uint32(c.Requests), key: key}
		if text, ok := message.GetAttributes()["event_id"]; ok {
			entry.id = parseEventID(text)
			r.see(entry.id)
		}
		switch r.keep {
		case keepAll:
			entry.message = message
		case keepAttributes:
			entry.message = &pubsubpb.PubsubMessage{Attributes: message.GetAttributes()}
		}
		r.records = append(r.records, entry)
	}
	c.Requests++
	c.Messages += len(request.GetMessages())
	c.Bytes += size
	r.notify()
}

func (r *recorder) intern(key orderingKey) uint32 {
	index, known := r.keyIndex[key]
	if !known {
		index = uint32(len(r.keys))
		r.keys = append(r.keys, key)
		r.keyIndex[key] = index
	}
	return index
}

func (r *recorder) see(id eventID) {
	if _, seen := r.seen[id]; seen {
		r.counters.Duplicates++
		return
	}
	r.seen[id] = struct{}{}
	r.counters.DistinctEventIDs++
}

func (r *recorder) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// stats are the counters now, and a channel that is closed when they change.
func (r *recorder) stats() (counters, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.counters
	stats.OrderingKeys = len(r.keys)
	stats.MeanMessages = float64(stats.Messages) / float64(max(stats.Requests, 1))
	return stats, r.changed
}

// from are the records from the given index on. They are never changed, only added to.
func (r *recorder) from(index int) ([]record, []orderingKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records[min(index, len(r.records)):], r.keys
}
