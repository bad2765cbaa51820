package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// operation is what a case does over and over.
type operation string

const (
	opPut  operation = "put"
	opGet  operation = "get"
	opStat operation = "stat"
	opList operation = "list"
)

// kase is one line of the table.
type kase struct {
	name    string
	op      operation
	size    int64
	sealed  bool // SSE-C
	clients int
}

// cases makes the list, plain before sealed.
func (o *options) cases(filter *regexp.Regexp) ([]kase, error) {
	small, err := numbers(o.clients)
	if err != nil {
		return nil, err
	}
	large, err := numbers(o.largeClients)
	if err != nil {
		return nil, err
	}
	var all []kase
	add := func(op operation, size int64, sealed bool, clients int) {
		kind := "plain"
		if sealed {
			kind = "sse-c"
		}
		k := kase{name: fmt.Sprintf("%s/%s/%s/%d", op, sizeText(size), kind, clients), op: op, size: size, sealed: sealed, clients: clients}
		if filter.MatchString(k.name) {
			all = append(all, k)
		}
	}
	for _, sealed := range []bool{false, true} {
		for _, op := range []operation{opPut, opGet, opStat} {
			for _, n := range small {
				add(op, o.small, sealed, n)
			}
		}
		add(opList, o.small, sealed, o.listClients)
		for _, op := range []operation{opPut, opGet} {
			for _, n := range large {
				add(op, o.large, sealed, n)
			}
		}
		add(opStat, o.large, sealed, small[0])
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no case matches %s", filter)
	}
	return all, nil
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "KiB"
	}
	return strconv.FormatInt(n, 10) + "B"
}

// prefix is where the objects lie that a case reads.
func (k kase) prefix() string {
	return sizeText(k.size) + map[bool]string{false: "-plain/", true: "-sse-c/"}[k.sealed]
}

// worker repeats one case on one connection.
type worker struct {
	b      *bench
	k      kase
	c      *conn
	data   *content
	count  int // objects to read
	puts   string
	made   int // objects of puts that may exist
	n      int
	random *rand.Rand
}

func objectKey(prefix string, n int) string { return prefix + fmt.Sprintf("%07d", n) }

// do makes one operation and returns how many bytes of objects, and entries of listings, it moved.
func (w *worker) do() (bytes, entries int64, err error) {
	w.n++
	switch w.k.op {
	case opPut:
		w.made++
		return w.k.size, 1, w.put(objectKey(w.puts, w.made))
	case opGet:
		return w.k.size, 1, w.get(objectKey(w.k.prefix(), w.random.IntN(w.count)))
	case opStat:
		return 0, 1, w.stat(objectKey(w.k.prefix(), w.random.IntN(w.count)))
	default:
		entries, err = w.list()
		return 0, entries, err
	}
}

func (w *worker) headers() http.Header {
	h := http.Header{}
	if w.k.sealed {
		maps.Copy(h, w.b.customer)
	}
	return h
}

func (w *worker) put(key string) error {
	h := w.headers()
	body, hash := w.data.body(key, h)
	_, err := w.c.call(&call{method: "PUT", path: w.b.path(key), headers: h, body: body, hash: hash}, nil)
	return wrap("put", key, err)
}

func (w *worker) get(key string) error {
	sink, done := w.data.check(key, w.n%w.b.sample == 0)
	if _, err := w.c.call(&call{method: "GET", path: w.b.path(key), headers: w.headers()}, sink); err != nil {
		return wrap("get", key, err)
	}
	return wrap("get", key, done())
}

func (w *worker) stat(key string) error {
	n, err := w.c.call(&call{method: "HEAD", path: w.b.path(key), headers: w.headers()}, nil)
	if err == nil && n != w.k.size {
		err = fmt.Errorf("%d bytes, %d were put", n, w.k.size)
	}
	return wrap("stat", key, err)
}

// list reads all pages of 1000 keys below the prefix.
func (w *worker) list() (int64, error) {
	var keys int64
	token := ""
	for {
		query := "list-type=2&max-keys=1000&prefix=" + url.QueryEscape(w.k.prefix())
		if token != "" {
			query = "continuation-token=" + url.QueryEscape(token) + "&" + query
		}
		var page strings.Builder
		_, err := w.c.call(&call{method: "GET", path: w.b.path(""), query: query}, func(b []byte) error {
			page.Write(b)
			return nil
		})
		if err != nil {
			return 0, wrap("list", w.k.prefix(), err)
		}
		text := page.String()
		keys += int64(strings.Count(text, "<Key>"))
		if !strings.Contains(text, "<IsTruncated>true<") {
			break
		}
		_, after, _ := strings.Cut(text, "<NextContinuationToken>")
		if token, _, _ = strings.Cut(after, "<"); token == "" {
			return 0, fmt.Errorf("list %s: a truncated page without a token", w.k.prefix())
		}
		token = strings.NewReplacer("&amp;", "&", "&#34;", `"`, "&quot;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(token)
	}
	if keys != int64(w.count) {
		return 0, fmt.Errorf("list %s: %d keys of %d", w.k.prefix(), keys, w.count)
	}
	return keys, nil
}

func wrap(what, key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, key, err)
	}
	return nil
}
