// The peers of ./benchmarks/compare_io in Go, in the style of its standard library: a goroutine for each connection.
//
//	servers echo | http | sleeps COUNT
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const bufferBytes = 1024

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("listening on", listener.Addr())
	return listener
}

func echo(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, bufferBytes)
	for {
		got, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:got]); err != nil {
			return
		}
	}
}

func serveEcho() {
	listener := listen()
	for {
		connection, err := listener.Accept()
		check(err)
		go echo(connection)
	}
}

func serveHTTP() {
	check(http.Serve(listen(), http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		response.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(response, "Hello, world!\n")
	})))
}

func sleepAll(count int) {
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		length := time.Duration(1+i*7919%1000) * time.Millisecond
		go func() {
			time.Sleep(length)
			all.Done()
		}()
	}
	all.Wait()
}

func main() {
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	switch {
	case what == "echo":
		serveEcho()
	case what == "http":
		serveHTTP()
	case what == "sleeps" && len(os.Args) == 3:
		count, err := strconv.Atoi(os.Args[2])
		check(err)
		sleepAll(count)
	default:
		fmt.Fprintf(os.Stderr, "usage: %s echo | http | sleeps COUNT\n", os.Args[0])
		os.Exit(2)
	}
}
