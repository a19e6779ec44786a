// Publishes one message:  go run publish.go CHANNEL JSON
//
// BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

func publish(channel string, data any) error {
	url := os.Getenv("BAYEUX_URL")
	if url == "" {
		url = "http://127.0.0.1:8080/bayeux"
	}
	body, err := json.Marshal(map[string]any{"channel": channel, "data": data})
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if key := os.Getenv("BAYEUX_KEY"); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var replies []struct {
		Successful bool
		Error      string
	}
	if err := json.NewDecoder(answer.Body).Decode(&replies); err != nil || len(replies) != 1 {
		return fmt.Errorf("HTTP status %s, and no reply", answer.Status)
	}
	if !replies[0].Successful {
		return fmt.Errorf("refused: %s", replies[0].Error)
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run publish.go CHANNEL JSON")
		os.Exit(2)
	}
	// Raw, so that every number arrives as it was written.
	if err := publish(os.Args[1], json.RawMessage(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}
