package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/cluster/operate"
	"holdfast/internal/kind"
)

// call is one call of the API.
type call struct {
	do func(ctx context.Context, q url.Values) (any, error)
	// takes are its arguments; others are refused, for a misspelt one would be left out silently.
	takes   []string
	changes bool // is logged
	status  int  // of success; 0 is 200
}

// calls is the table of the API.
func calls(o Operator) map[string]call {
	return map[string]call{
		"GET status": {do: func(ctx context.Context, _ url.Values) (any, error) { return o.Status(ctx), nil }},

		"POST drives/add": change([]string{"node", "path"}, func(ctx context.Context, q url.Values) (any, error) {
			return o.AddDrive(ctx, q.Get("node"), q.Get("path"))
		}),
		"POST drives/drain":   named("drive", o.DrainDrive),
		"POST drives/undrain": named("drive", o.UndrainDrive),
		"POST drives/remove":  removed("drive", o.RemoveDrive),
		"POST nodes/drain":    named("node", o.DrainNode),
		"POST nodes/undrain":  named("node", o.UndrainNode),
		"POST nodes/remove":   removed("node", o.RemoveNode),

		"POST rebalance/pause": change(nil, func(ctx context.Context, _ url.Values) (any, error) { return o.PauseRebalance(ctx) }),
		"POST rebalance/resume": change(nil, func(ctx context.Context, _ url.Values) (any, error) {
			return o.ResumeRebalance(ctx)
		}),
		"POST rebalance/kick": change(nil, func(ctx context.Context, _ url.Values) (any, error) {
			return map[string]bool{"kicked": true}, o.KickRebalance(ctx)
		}),
		"POST rebalance/rate": change([]string{"bytes_per_second"}, func(ctx context.Context, q url.Values) (any, error) {
			n, err := number(q, "bytes_per_second")
			if err != nil {
				return nil, err
			}
			return o.SetRebalanceRate(ctx, n)
		}),
		"POST repair/after": change([]string{"seconds"}, func(ctx context.Context, q url.Values) (any, error) {
			n, err := number(q, "seconds")
			if err != nil {
				return nil, err
			}
			return o.SetRepairAfter(ctx, time.Duration(min(n, maxSeconds))*time.Second)
		}),
		"POST scrub": started(func(ctx context.Context) (operate.Started, error) { return o.StartScrub(ctx) }),
	}
}

// maxSeconds fits into a time.Duration.
const maxSeconds = 1 << 33

func change(takes []string, do func(context.Context, url.Values) (any, error)) call {
	return call{do: do, takes: takes, changes: true}
}

func named(arg string, do func(context.Context, string) (operate.Change, error)) call {
	return change([]string{arg}, func(ctx context.Context, q url.Values) (any, error) { return do(ctx, q.Get(arg)) })
}

func removed(arg string, do func(context.Context, string, bool) (operate.Change, error)) call {
	return change([]string{arg, "force"}, func(ctx context.Context, q url.Values) (any, error) {
		force, err := boolean(q, "force")
		if err != nil {
			return nil, err
		}
		return do(ctx, q.Get(arg), force)
	})
}

// started answers 202: the scrub is under way.
func started(do func(context.Context) (operate.Started, error)) call {
	c := change(nil, func(ctx context.Context, _ url.Values) (any, error) {
		s, err := do(ctx)
		return struct {
			Scrub string `json:"scrub"`
			operate.Started
		}{"under way", s}, err
	})
	c.status = http.StatusAccepted
	return c
}

func number(q url.Values, name string) (int64, error) {
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil || n < 0 {
		return 0, &operate.Refused{Code: operate.CodeInvalid, Why: name + " is to be a number, 0 or more"}
	}
	return n, nil
}

func boolean(q url.Values, name string) (bool, error) {
	if !q.Has(name) {
		return false, nil
	}
	b, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, &operate.Refused{Code: operate.CodeInvalid, Why: name + " is true or false"}
	}
	return b, nil
}

// serve finds the call and carries it out for a user.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, user string) {
	what := strings.TrimPrefix(r.URL.Path, Prefix)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	c, ok := s.calls[method+" "+what]
	if !ok {
		s.unknown(w, what)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = onlyKnown(query, c.takes)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, operate.CodeInvalid, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	answer, err := c.do(ctx, query)
	if c.changes {
		s.log(r, what, user, query, answer, err)
	}
	if err != nil {
		status, code, message := fault(err)
		refuse(w, status, code, message)
		return
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
	reply(w, c.status, answer)
}

func (s *Server) unknown(w http.ResponseWriter, what string) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, ok := s.calls[method+" "+what]; ok {
			w.Header().Set("Allow", method)
			refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", what+" takes "+method+".")
			return
		}
	}
	refuse(w, http.StatusNotFound, "NotFound", "There is no call "+strconv.Quote(what)+" in this version.")
}

// onlyKnown refuses arguments that a call does not have, or has twice. A signature in the query is none.
func onlyKnown(q url.Values, takes []string) error {
	for name, values := range q {
		if strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		known := false
		for _, t := range takes {
			known = known || t == name
		}
		switch {
		case !known:
			return errors.New("this call has no argument " + strconv.Quote(name))
		case len(values) > 1:
			return errors.New("the argument " + strconv.Quote(name) + " is there twice")
		}
	}
	return nil
}

// log says who asked for what, and what came of it.
func (s *Server) log(r *http.Request, what, user string, q url.Values, answer any, err error) {
	attrs := []slog.Attr{slog.String("call", what), slog.String("user", user), slog.String("peer", r.RemoteAddr)}
	for name, values := range q {
		if !strings.HasPrefix(name, "X-Amz-") {
			attrs = append(attrs, slog.String(name, values[0]))
		}
	}
	if c, ok := answer.(operate.Change); ok && err == nil {
		attrs = append(attrs, slog.Bool("changed", c.Changed), slog.String("id", c.ID), slog.String("state", c.State))
	}
	if err != nil {
		s.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn, "an operator's call was not carried out", append(attrs, slog.Any("error", err))...)
		return
	}
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "an operator's call was carried out", attrs...)
}

// fault is how an error is told.
func fault(err error) (status int, code, message string) {
	var r *operate.Refused
	if errors.As(err, &r) {
		switch r.Code {
		case operate.CodeInvalid, operate.CodeAmbiguous:
			return http.StatusBadRequest, r.Code, r.Why
		case operate.CodeUnknownDrive, operate.CodeUnknownNode:
			return http.StatusNotFound, r.Code, r.Why
		case operate.CodeUnsupported:
			return http.StatusNotImplemented, r.Code, r.Why
		}
		return http.StatusConflict, r.Code, r.Why
	}
	switch kind.Of(err) {
	case kind.Unavailable, kind.NotLeader, kind.Timeout, kind.Canceled, kind.Full:
		return http.StatusServiceUnavailable, "ServiceUnavailable", "The cluster cannot do that now; what was asked may or may not have happened, and may be said again: " + err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return http.StatusServiceUnavailable, "ServiceUnavailable", "There was no answer in time; what was asked may or may not have happened, and may be said again."
	}
	return http.StatusInternalServerError, "InternalError", err.Error()
}
