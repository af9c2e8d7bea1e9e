// A socket of go-zeromq/zmq4, driven by a line of JSON for each step on standard input and answered by one on standard
// output: {"do":"send","frames":[…]}, {"do":"receive"}. Frames are base64.
//
// Usage: zmq4peer pub|sub|dealer|router|push bind|connect ENDPOINT [TOPIC]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-zeromq/zmq4"
)

type step struct {
	Do     string   `json:"do"`
	Frames [][]byte `json:"frames"`
}

func newSocket(kind string) (zmq4.Socket, error) {
	ctx := context.Background()
	switch kind {
	case "pub":
		return zmq4.NewPub(ctx), nil
	case "sub":
		return zmq4.NewSub(ctx), nil
	case "dealer":
		return zmq4.NewDealer(ctx), nil
	case "router":
		return zmq4.NewRouter(ctx), nil
	case "push":
		return zmq4.NewPush(ctx), nil
	}
	return nil, fmt.Errorf("unknown kind %q", kind)
}

func open(socket zmq4.Socket, mode, endpoint string) (string, error) {
	if mode == "connect" {
		return endpoint, socket.Dial(endpoint)
	}
	if err := socket.Listen(endpoint); err != nil {
		return "", err
	}
	return "tcp://" + socket.Addr().String(), nil
}

func run(args []string) error {
	socket, err := newSocket(args[0])
	if err != nil {
		return err
	}
	defer socket.Close()
	if len(args) > 3 {
		if err := socket.SetOption(zmq4.OptionSubscribe, args[3]); err != nil {
			return err
		}
	}
	endpoint, err := open(socket, args[1], args[2])
	if err != nil {
		return err
	}
	fmt.Println(endpoint)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var next step
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			return err
		}
		var answer any
		if next.Do == "send" {
			err = socket.SendMulti(zmq4.NewMsgFrom(next.Frames...))
		} else {
			var message zmq4.Msg
			message, err = socket.Recv()
			answer = message.Frames
		}
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
