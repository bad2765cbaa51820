package s3

import (
	"net/http"
	"strings"
	"time"
)

// response counts what is sent and moves the write deadline as data flows.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	moved   time.Time // when the deadline was last moved
	status  int       // 0 until the header is sent
	out     int64
	begun   bool  // the header was handed to net/http
	broken  error // what a write failed with: the client is gone or has stalled
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	w.status, w.begun = status, true
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write sends b; the first one sends the header too, with the status that was prepared. Nothing is
// no first byte: as long as the header is not sent an error can still be told.
func (w *response) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if !w.begun {
		w.WriteHeader(w.prepared())
	} else {
		w.extend()
	}
	n, err := w.ResponseWriter.Write(b)
	w.out += int64(n)
	if err != nil {
		w.broken = err
	}
	return n, err
}

func (w *response) prepared() int {
	if w.status != 0 {
		return w.status
	}
	return http.StatusOK
}

// extend gives the client another idle timeout to take what was sent. Writers without deadlines
// (tests) are left alone.
func (w *response) extend() {
	now := time.Now() // of the machine: deadlines are the kernel's, not the protocol's
	if now.Sub(w.moved) < w.idle/deadlineSlack {
		return
	}
	w.moved = now
	_ = w.control.SetWriteDeadline(now.Add(w.idle))
}

// dropObjectHeaders takes back all headers but those of every answer.
func (w *response) dropObjectHeaders() {
	w.status = 0
	h := w.Header()
	for name := range h {
		switch name {
		case headerRequestID, headerHostID, headerNoSniff, headerServer, "Connection":
		case headerVary:
		default:
			if !strings.HasPrefix(name, prefixAllow) {
				delete(h, name)
			}
		}
	}
}
