package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/api/admin"
)

// Limits of the HTTP server. Bodies have their own clock: api/s3 ends a connection on which no
// byte moves for a minute, however long the whole may take.
const (
	readHeaderTimeout = 10 * time.Second
	// writeTimeout begins anew with each request on a connection; api/s3 moves it while a body flows.
	writeTimeout   = time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10 // S3 has 8 KiB of headers and 1 KiB of key; the rest is for proxies
)

// front is the HTTP side: /-/ for operators, everything else S3.
type front struct {
	operations *operations
	running    atomic.Pointer[handlers] // nil until the engine runs
}

type handlers struct{ s3, admin http.Handler }

// start opens S3 and the admin API.
func (f *front) start(s3, admin http.Handler) { f.running.Store(&handlers{s3, admin}) }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ours := strings.HasPrefix(r.URL.Path, operationsPrefix)
	forAdmin := ours && strings.HasPrefix(r.URL.Path, admin.Prefix)
	h := f.running.Load()
	switch {
	case ours && !forAdmin:
		f.operations.ServeHTTP(w, r)
	case h == nil:
		refuseForNow(w, r)
	case forAdmin:
		h.admin.ServeHTTP(w, r)
	default:
		h.s3.ServeHTTP(w, r)
	}
}

// refuseForNow answers while the engine does not run; clients of S3 know the code and try again.
func refuseForNow(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<Error><Code>ServiceUnavailable</Code><Message>The server is starting; /-/ready says what it waits for.</Message></Error>`))
	}
}

// httpServer makes the server around a front. HTTP/1.1 only: for bodies of megabytes over few
// connections HTTP/2 in Go costs more and gives nothing.
func httpServer(f *front, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           f,
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         protocols,
		// What net/http has to say is mostly about broken handshakes.
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// drain stops taking requests, lets those under way finish until the deadline, then breaks them.
func drain(srv *http.Server, deadline time.Duration, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err := srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		logger.Warn("requests were still under way at the drain deadline; their connections are closed", "deadline", deadline)
		err = srv.Close()
	}
	return err
}

// serveOn runs the server on its listeners until one of them fails or the server is shut down.
func serveOn(srv *http.Server, listeners ...net.Listener) <-chan error {
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
	}
	return failed
}
