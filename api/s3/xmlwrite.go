package s3

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// namespace is in the root element of every answer but errors.
const namespace = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

// timeLayout is ISO 8601 with milliseconds, as in all of S3's XML.
const timeLayout = "2006-01-02T15:04:05.000Z"

// xmlWriter appends an answer to a pooled buffer. By hand, because a page of a listing through
// encoding/xml costs more than all the rest of the request.
type xmlWriter struct{ b []byte }

var xmlPool = sync.Pool{New: func() any { return new(xmlWriter) }}

// newXML begins a document in a buffer of about size bytes.
func newXML(size int) *xmlWriter {
	x := xmlPool.Get().(*xmlWriter)
	if cap(x.b) < size {
		x.b = make([]byte, 0, size)
	}
	x.b = append(x.b[:0], xmlHead...)
	return x
}

// free gives the buffer back, unless it grew beyond what is worth keeping.
func (x *xmlWriter) free() {
	if cap(x.b) <= maxListWriter {
		xmlPool.Put(x)
	}
}

// root opens the root element with the namespace of S3.
func (x *xmlWriter) root(name string) {
	x.b = append(x.b, '<')
	x.b = append(x.b, name...)
	x.b = append(x.b, namespace...)
	x.b = append(x.b, '>')
}

func (x *xmlWriter) open(name string) {
	x.b = append(x.b, '<')
	x.b = append(x.b, name...)
	x.b = append(x.b, '>')
}

func (x *xmlWriter) close(name string) {
	x.b = append(x.b, '<', '/')
	x.b = append(x.b, name...)
	x.b = append(x.b, '>')
}

func (x *xmlWriter) elem(name, text string) {
	x.open(name)
	x.text(text)
	x.close(name)
}

// some writes an element unless it is empty.
func (x *xmlWriter) some(name, text string) {
	if text != "" {
		x.elem(name, text)
	}
}

func (x *xmlWriter) number(name string, n int64) {
	x.open(name)
	x.b = strconv.AppendInt(x.b, n, 10)
	x.close(name)
}

func (x *xmlWriter) boolean(name string, v bool) {
	x.open(name)
	x.b = strconv.AppendBool(x.b, v)
	x.close(name)
}

func (x *xmlWriter) time(name string, t time.Time) {
	x.open(name)
	x.b = appendTime(x.b, t.UTC())
	x.close(name)
}

// appendTime is AppendFormat(b, timeLayout) at a third of its cost: a page has a thousand of them.
func appendTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeLayout)
	}
	hour, minute, second := t.Clock()
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, int(month), 2), '-')
	b = append(appendDigits(b, day, 2), 'T')
	b = append(appendDigits(b, hour, 2), ':')
	b = append(appendDigits(b, minute, 2), ':')
	b = append(appendDigits(b, second, 2), '.')
	return append(appendDigits(b, t.Nanosecond()/int(time.Millisecond), 3), 'Z')
}

func appendDigits(b []byte, n, width int) []byte {
	for div := [5]int{0, 1, 10, 100, 1000}[width]; div > 0; div /= 10 {
		b = append(b, byte('0'+n/div%10))
	}
	return b
}

// etag writes an ETag element with its quotes.
func (x *xmlWriter) etag(tag string) {
	x.b = append(x.b, "<ETag>&quot;"...)
	x.text(tag)
	x.b = append(x.b, "&quot;</ETag>"...)
}

// text appends escaped character data. Characters which XML 1.0 cannot hold at all (a key may
// have them) are written as numeric references, as AWS does; clients that list such keys ask for
// encoding-type=url.
func (x *xmlWriter) text(s string) {
	from := 0
	for i := 0; i < len(s); {
		ref, n := "", 1
		switch c := s[i]; {
		case c == '&':
			ref = "&amp;"
		case c == '<':
			ref = "&lt;"
		case c == '>':
			ref = "&gt;"
		case c == '"':
			ref = "&quot;"
		case c < 0x20 || c == 0x7f:
			ref = "&#x" + strconv.FormatUint(uint64(c), 16) + ";"
		case c >= utf8.RuneSelf:
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				ref = "\uFFFD"
			case r == 0xFFFE || r == 0xFFFF:
				ref = "&#x" + strconv.FormatUint(uint64(r), 16) + ";"
			}
		}
		if ref != "" {
			x.b = append(x.b, s[from:i]...)
			x.b = append(x.b, ref...)
			from = i + n
		}
		i += n
	}
	x.b = append(x.b, s[from:]...)
}

// keyText writes a key or a prefix, percent-encoded when the client asked for that.
func (x *xmlWriter) key(name, text string, encode bool) {
	x.open(name)
	if encode {
		x.b = appendURL(x.b, text)
	} else {
		x.text(text)
	}
	x.close(name)
}

// appendURL percent-encodes all but the unreserved characters and '/'. A space is %20 and never
// '+', because some clients decode the one and some both.
func appendURL(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~/*", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}
