package xmlio

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Head is the first line of every document.
const Head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// namespace is in the root element of every answer but errors.
const namespace = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

// maxKept is how many bytes of a buffer are kept for the next document: a page of a listing.
const maxKept = 1 << 20

// TimeLayout is ISO 8601 with milliseconds, as in all of S3's XML.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Writer appends an answer to a pooled buffer. By hand, because a page of a listing through
// encoding/xml costs more than all the rest of the request.
type Writer struct{ B []byte }

var pool = sync.Pool{New: func() any { return new(Writer) }}

// New begins a document in a buffer of about size bytes.
func New(size int) *Writer {
	x := pool.Get().(*Writer)
	if cap(x.B) < size {
		x.B = make([]byte, 0, size)
	}
	x.B = append(x.B[:0], Head...)
	return x
}

// Free gives the buffer back, unless it grew beyond what is worth keeping.
func (x *Writer) Free() {
	if cap(x.B) <= maxKept {
		pool.Put(x)
	}
}

// Root opens the root element with the namespace of S3.
func (x *Writer) Root(name string) {
	x.B = append(x.B, '<')
	x.B = append(x.B, name...)
	x.B = append(x.B, namespace...)
	x.B = append(x.B, '>')
}

// Open writes a start tag.
func (x *Writer) Open(name string) {
	x.B = append(x.B, '<')
	x.B = append(x.B, name...)
	x.B = append(x.B, '>')
}

// Close writes an end tag.
func (x *Writer) Close(name string) {
	x.B = append(x.B, '<', '/')
	x.B = append(x.B, name...)
	x.B = append(x.B, '>')
}

// Elem writes an element with characters.
func (x *Writer) Elem(name, text string) {
	x.Open(name)
	x.Text(text)
	x.Close(name)
}

// Some writes an element unless it is empty.
func (x *Writer) Some(name, text string) {
	if text != "" {
		x.Elem(name, text)
	}
}

// Number writes an element with a decimal number.
func (x *Writer) Number(name string, n int64) {
	x.Open(name)
	x.B = strconv.AppendInt(x.B, n, 10)
	x.Close(name)
}

// Boolean writes an element with true or false.
func (x *Writer) Boolean(name string, v bool) {
	x.Open(name)
	x.B = strconv.AppendBool(x.B, v)
	x.Close(name)
}

// Time writes an element with a time, in UTC, by TimeLayout.
func (x *Writer) Time(name string, t time.Time) {
	x.Open(name)
	x.B = appendTime(x.B, t.UTC())
	x.Close(name)
}

// appendTime is AppendFormat(b, TimeLayout) at a third of its cost: a page has a thousand of them.
func appendTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, TimeLayout)
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

// ETag writes an ETag element with its quotes.
func (x *Writer) ETag(tag string) {
	x.B = append(x.B, "<ETag>&quot;"...)
	x.Text(tag)
	x.B = append(x.B, "&quot;</ETag>"...)
}

// Text appends escaped character data. Characters which XML 1.0 cannot hold at all (a key may
// have them) are written as numeric references, as AWS does; clients that list such keys ask for
// encoding-type=url.
func (x *Writer) Text(s string) {
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
			x.B = append(x.B, s[from:i]...)
			x.B = append(x.B, ref...)
			from = i + n
		}
		i += n
	}
	x.B = append(x.B, s[from:]...)
}

// Key writes a key or a prefix, percent-encoded when the client asked for that.
func (x *Writer) Key(name, text string, encode bool) {
	x.Open(name)
	if encode {
		x.B = AppendURL(x.B, text)
	} else {
		x.Text(text)
	}
	x.Close(name)
}

// AppendURL percent-encodes all but the unreserved characters and '/'. A space is %20 and never
// '+', because some clients decode the one and some both.
func AppendURL(b []byte, s string) []byte {
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
