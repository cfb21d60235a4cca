// SPDX-License-Identifier: BSD-2-Clause

// An application on Go's net/http/fcgi:
//
//	goecho PATH|ADDRESS:PORT
//
// By the query: "env" lists what Go knows of the request, "count" answers the
// body's length, "meet=N&wait=0" waits until there are N such requests at once
// and tells which of them it is; else the body comes back while it is still
// arriving.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
)

func env(w http.ResponseWriter, r *http.Request) {
	var lines []string
	for name, value := range fcgi.ProcessEnv(r) {
		lines = append(lines, name+"="+value)
	}
	for name, values := range r.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	lines = append(lines, "METHOD="+r.Method, "URL="+r.URL.String())
	sort.Strings(lines)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}

var (
	meeting sync.Mutex
	met     int
	all     = make(chan struct{})
)

func meet(w http.ResponseWriter, wanted int) {
	meeting.Lock()
	met++
	number, together := met, all
	if met == wanted {
		close(all)
		met, all = 0, make(chan struct{})
	}
	meeting.Unlock()
	<-together
	fmt.Fprint(w, number)
}

func handle(w http.ResponseWriter, r *http.Request) {
	wanted, _ := strconv.Atoi(r.URL.Query().Get("meet"))
	switch {
	case wanted > 0:
		meet(w, wanted)
	case r.URL.RawQuery == "env":
		env(w, r)
	case r.URL.RawQuery == "count":
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, n)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		// 0 as well when nobody knows it.
		if r.ContentLength > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		io.Copy(w, r.Body)
	}
}

func main() {
	network := "tcp"
	if strings.HasPrefix(os.Args[1], "/") {
		network = "unix"
	}
	listener, err := net.Listen(network, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if network == "unix" {
		os.Chmod(os.Args[1], 0777)
	}
	fmt.Println("ready")
	if err := fcgi.Serve(listener, http.HandlerFunc(handle)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
