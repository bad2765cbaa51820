package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// operations serves /-/: what operators and their machines ask. No bucket can have that name.
type operations struct {
	metrics http.Handler
	// token opens /-/metrics to others than loopback peers; "" does so to nobody.
	token string
	// reasons lists why the server is not ready; nil when it is.
	reasons func(r *http.Request) []string
	// stopping is set when the server begins to drain.
	stopping atomic.Bool
}

const operationsPrefix = "/-/"

// readiness is the answer of /-/ready.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"` // why not
}

func (o *operations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		reply(w, http.StatusMethodNotAllowed, map[string]string{"error": "only GET and HEAD"})
		return
	}
	switch strings.TrimPrefix(r.URL.Path, operationsPrefix) {
	case "live":
		reply(w, http.StatusOK, map[string]bool{"live": true})
	case "ready":
		o.ready(w, r)
	case "metrics":
		if !o.mayReadMetrics(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			reply(w, http.StatusUnauthorized, map[string]string{"error": "metrics are for loopback peers and bearers of the metrics token"})
			return
		}
		o.metrics.ServeHTTP(w, r)
	default:
		reply(w, http.StatusNotFound, map[string]string{"error": "there is live, ready and metrics"})
	}
}

func (o *operations) ready(w http.ResponseWriter, r *http.Request) {
	reasons := []string{"the server is stopping"}
	if !o.stopping.Load() {
		reasons = o.reasons(r)
	}
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, readiness{Ready: len(reasons) == 0, Reasons: reasons})
}

// mayReadMetrics lets in peers on this machine and those who know the token. What a proxy on this
// machine passes on is not from this machine.
func (o *operations) mayReadMetrics(r *http.Request) bool {
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && o.token != "" {
		// Hashes have one length, so that the time tells nothing of the token's.
		a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(o.token))
		return subtle.ConstantTimeCompare(a[:], b[:]) == 1
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer may be gone; there is nobody else to tell
}
