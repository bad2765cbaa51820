package listen_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/listen"
)

// BenchmarkTransfer moves bodies of 10 MiB over TLS, in a process that is client and server, and
// reports the CPU time of both for a gigabyte. Compare "tls", the listener of crypto/tls, with
// "listen".
func BenchmarkTransfer(b *testing.B) {
	const size = 10 << 20
	for _, kind := range []string{"tls", "listen"} {
		for _, verb := range []string{http.MethodGet, http.MethodPut} {
			b.Run(fmt.Sprintf("%s/%s", verb, kind), func(b *testing.B) {
				body := make([]byte, 64<<10)
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut {
						buf := make([]byte, 1<<20)
						for {
							if _, err := io.ReadFull(r.Body, buf); err != nil {
								return
							}
						}
					}
					w.Header().Set("Content-Length", fmt.Sprint(size))
					for range size / len(body) {
						_, _ = w.Write(body)
					}
				})
				client, url := benchServer(b, kind, handler)
				b.SetBytes(size)
				before := cpu()
				for b.Loop() {
					req, _ := http.NewRequest(verb, url, nil)
					if verb == http.MethodPut {
						req.Body, req.ContentLength = io.NopCloser(io.LimitReader(zeros{}, size)), size
					}
					res, err := client.Do(req)
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 1<<20)); err != nil || verb == http.MethodGet && n != size {
						b.Fatal(n, err)
					}
					_ = res.Body.Close()
				}
				b.ReportMetric((cpu()-before).Seconds()/(float64(b.N)*size/1e9), "cpu-s/GB")
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func benchServer(b *testing.B, kind string, h http.Handler) (*http.Client, string) {
	b.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	cert, roots := selfSigned(b)
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	l := net.Listener(tls.NewListener(inner, cfg))
	if kind == "listen" {
		ours, err := listen.New(inner, listen.Config{TLS: cfg})
		if err != nil {
			b.Fatal(err)
		}
		l, srv.ConnState = ours, ours.ConnState
	}
	go func() { _ = srv.Serve(l) }()
	b.Cleanup(func() { _ = srv.Close() })
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, DynamicRecordSizingDisabled: true}, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, "https://" + inner.Addr().String()
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
