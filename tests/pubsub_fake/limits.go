package main

import (
	"fmt"
	"strings"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What the service refuses and the fake would take: the quotas page, "resource limits", and the
// comments of the protocol. Bytes are those of the encoded request, and of UTF-8.
const (
	maxMessages            = 1_000
	maxRequestBytes        = 10_000_000
	maxAttributes          = 100
	maxAttributeKeyBytes   = 256
	maxAttributeValueBytes = 1_024
	maxOrderingKeyBytes    = 1_024
)

// refusal is nil for a request that the service would take.
func refusal(request *pubsubpb.PublishRequest, bytes int) error {
	messages := request.GetMessages()
	var reason string
	switch {
	case len(messages) == 0:
		reason = "the request holds no message"
	case len(messages) > maxMessages:
		reason = fmt.Sprintf("%d messages in a request", len(messages))
	case bytes > maxRequestBytes:
		reason = fmt.Sprintf("%d bytes in a request", bytes)
	case mixesKeys(messages):
		reason = "the request mixes ordering keys"
	}
	for index := 0; reason == "" && index < len(messages); index++ {
		if fault := messageFault(messages[index]); fault != "" {
			reason = fmt.Sprintf("message %d: %s", index, fault)
		}
	}
	if reason == "" {
		return nil
	}
	return status.Error(codes.InvalidArgument, reason)
}

func mixesKeys(messages []*pubsubpb.PubsubMessage) bool {
	for _, message := range messages {
		if message.GetOrderingKey() != messages[0].GetOrderingKey() {
			return true
		}
	}
	return false
}

func messageFault(message *pubsubpb.PubsubMessage) string {
	attributes := message.GetAttributes()
	switch {
	case len(message.GetData()) == 0 && len(attributes) == 0:
		return "neither data nor an attribute"
	case len(message.GetOrderingKey()) > maxOrderingKeyBytes:
		return fmt.Sprintf("%d bytes in the ordering key", len(message.GetOrderingKey()))
	case len(attributes) > maxAttributes:
		return fmt.Sprintf("%d attributes", len(attributes))
	}
	for key, value := range attributes {
		switch {
		case key == "":
			return "an empty attribute key"
		case len(key) > maxAttributeKeyBytes:
			return fmt.Sprintf("%d bytes in an attribute's key", len(key))
		case len(value) > maxAttributeValueBytes:
			return fmt.Sprintf("%d bytes in an attribute's value", len(value))
		case strings.HasPrefix(key, "goog") && !strings.HasPrefix(key, "googclient_"):
			return "an attribute's key begins with \"goog\""
		}
	}
	return ""
}
