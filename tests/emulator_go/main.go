// Google's Go client against the embedded Pub/Sub at PUBSUB_EMULATOR_HOST: it makes a topic and an
// ordered subscription, publishes with ordering keys, and receives by StreamingPull. The third
// message of the first key is refused once. What came, in the order in which it came, is printed as
// one line of JSON; the test that starts this program judges it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

const (
	project      = "demo"
	topic        = "projects/demo/topics/orders"
	subscription = "projects/demo/subscriptions/orders"
	keys         = 4
	messages     = 200
	refused      = 8 // of the first key, with one acknowledged message before it
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := pubsub.NewClient(ctx, project)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := create(ctx, client); err != nil {
		return err
	}
	if err := publish(ctx, client); err != nil {
		return err
	}
	came, err := receive(ctx, client)
	if err != nil {
		return err
	}
	if err := remove(ctx, client); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(came)
}

func create(ctx context.Context, client *pubsub.Client) error {
	wanted := &pubsubpb.Topic{Name: topic}
	if _, err := client.TopicAdminClient.CreateTopic(ctx, wanted); err != nil {
		return err
	}
	_, err := client.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name:                  subscription,
		Topic:                 topic,
		EnableMessageOrdering: true,
	})
	return err
}

func publish(ctx context.Context, client *pubsub.Client) error {
	publisher := client.Publisher("orders")
	defer publisher.Stop()
	publisher.EnableMessageOrdering = true
	results := make([]*pubsub.PublishResult, messages)
	for number := range results {
		results[number] = publisher.Publish(ctx, &pubsub.Message{
			Data:        []byte(strconv.Itoa(number)),
			OrderingKey: fmt.Sprintf("key-%d", number%keys),
		})
	}
	for _, result := range results {
		if _, err := result.Get(ctx); err != nil {
			return err
		}
	}
	return nil
}

// receive returns the numbers that came for each key, repeated ones included, once all have come.
func receive(ctx context.Context, client *pubsub.Client) (map[string][]int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	came := map[string][]int{}
	acknowledged := map[int]bool{}
	nacked := false
	receive := func(_ context.Context, message *pubsub.Message) {
		mu.Lock()
		defer mu.Unlock()
		number, err := strconv.Atoi(string(message.Data))
		if err != nil {
			log.Fatal(err)
		}
		came[message.OrderingKey] = append(came[message.OrderingKey], number)
		if number == refused && !nacked {
			nacked = true
			message.Nack()
			return
		}
		message.Ack()
		acknowledged[number] = true
		if len(acknowledged) == messages {
			cancel()
		}
	}
	err := client.Subscriber("orders").Receive(ctx, receive)
	return came, err
}

func remove(ctx context.Context, client *pubsub.Client) error {
	admin := client.SubscriptionAdminClient
	doomed := &pubsubpb.DeleteSubscriptionRequest{Subscription: subscription}
	if err := admin.DeleteSubscription(ctx, doomed); err != nil {
		return err
	}
	return client.TopicAdminClient.DeleteTopic(ctx, &pubsubpb.DeleteTopicRequest{Topic: topic})
}
