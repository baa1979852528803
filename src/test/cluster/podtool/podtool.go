// Command podtool is the one program inside the images of the end-to-end tests: the sandbox's pause and
// small clients and servers that say on stdout, and so in the pod's log, what they saw.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: podtool sleep                stay until SIGTERM
       podtool term-delay SECONDS   stay until SIGTERM, then take SECONDS to end
       podtool serve PORT           answer every GET with the caller's address
       podtool http-get URL...      print status and body of each, exit 1 if one had no answer
       podtool imds                 ask the metadata service for credentials, print the answers, stay`

const maxTries = 5

const metadataService = "http://169.254.169.254"

// Longer than any answer a test waits for, so that the tool reports what the server did and not its own limit.
var client = &http.Client{Timeout: 30 * time.Second}

func main() {
	args := append(os.Args[1:], "", "")
	switch command, argument := args[0], args[1]; command {
	case "sleep":
		awaitTerm()
	case "term-delay":
		seconds, err := strconv.Atoi(argument)
		check(err)
		awaitTerm()
		time.Sleep(time.Duration(seconds) * time.Second)
	case "serve":
		check(serve(argument))
	case "http-get":
		os.Exit(get(os.Args[2:]))
	case "imds":
		check(json.NewEncoder(os.Stdout).Encode(credentials()))
		awaitTerm()
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

func awaitTerm() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
}

func serve(port string) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.RemoteAddr)
	}))
	awaitTerm()
	return nil
}

func get(urls []string) (exit int) {
	for _, url := range urls {
		a := ask(http.MethodGet, url, nil)
		fmt.Println(a.Status, a.Body, a.Error)
		if a.Error != "" {
			exit = 1
		}
	}
	return exit
}

type answer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Error  string `json:"error,omitempty"`
	Millis int64  `json:"millis"`
	Tries  int    `json:"tries"`
}

type session struct {
	Token       answer `json:"token"`
	Role        answer `json:"role"`
	Credentials answer `json:"credentials"`
}

// The three requests of an SDK's IMDSv2 credential provider.
func credentials() (s session) {
	s.Token = insist(http.MethodPut, metadataService+"/latest/api/token",
		map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
	token := map[string]string{"X-aws-ec2-metadata-token": s.Token.Body}
	roles := metadataService + "/latest/meta-data/iam/security-credentials/"
	s.Role = insist(http.MethodGet, roles, token)
	s.Credentials = insist(http.MethodGet, roles+strings.TrimSpace(s.Role.Body), token)
	return s
}

// Tries again while the service says that it is not ready, as SDKs do; the answer is the last one.
func insist(method, url string, headers map[string]string) (a answer) {
	for tries, millis := 1, int64(0); ; tries++ {
		a = ask(method, url, headers)
		millis += a.Millis
		a.Tries, a.Millis = tries, millis
		if a.Status != http.StatusServiceUnavailable || tries == maxTries {
			return a
		}
		time.Sleep(time.Second)
	}
}

func ask(method, url string, headers map[string]string) (a answer) {
	start := time.Now()
	defer func() { a.Millis = time.Since(start).Milliseconds() }()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return answer{Error: err.Error()}
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{Status: response.StatusCode, Error: err.Error()}
	}
	return answer{Status: response.StatusCode, Body: string(body)}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "podtool:", err)
		os.Exit(1)
	}
}
