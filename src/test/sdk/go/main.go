// Command client prints the credentials that the AWS SDK for Go v2 finds in the default chain.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	loaded, err := config.LoadDefaultConfig(context.Background())
	if err == nil {
		credentials, failure := loaded.Credentials.Retrieve(context.Background())
		if err = failure; err == nil {
			err = json.NewEncoder(os.Stdout).Encode(map[string]string{
				"accessKeyId": credentials.AccessKeyID,
				"source":      credentials.Source,
				"expiration":  credentials.Expires.UTC().Format(time.RFC3339),
			})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
