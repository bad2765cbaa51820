package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// table is aligned text. A column whose head begins with > is aligned to the right.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// columnGap is between columns.
const columnGap = "  "

func (t *table) write(w io.Writer) error {
	right := make([]bool, len(t.head))
	width := make([]int, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i], right[i] = strings.CutPrefix(h, ">")
	}
	all := append([][]string{head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString(columnGap)
			}
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// bytesText is a size for people: three digits that matter, and a unit.
func bytesText(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, unit := float64(n)/(1<<10), 0
	for f >= 999.5 && unit < len(units)-1 {
		f, unit = f/(1<<10), unit+1
	}
	switch {
	case f < 9.995:
		return fmt.Sprintf("%.2f %s", f, units[unit])
	case f < 99.95:
		return fmt.Sprintf("%.1f %s", f, units[unit])
	}
	return fmt.Sprintf("%.0f %s", f, units[unit])
}

func rateText(n int64) string { return bytesText(n) + "/s" }

// countText is a number with its thousands apart.
func countText(n int64) string {
	text := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(text) - 3; i > start; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// timeText is a length of time for people: two units that matter.
func timeText(d time.Duration) string {
	s := int64(max(0, d.Round(time.Second)) / time.Second)
	two := func(a int64, unitA string, b int64, unitB string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, unitA)
		}
		return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 48*3600:
		return two(s/3600, "h", s%3600/60, "min")
	}
	return two(s/86400, "d", s%86400/3600, "h")
}

// pointText is a moment for people.
func pointText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// plural is a number and what there are so many of.
func plural[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return countText(int64(n)) + " " + what + "s"
}

// shortText is an ID as people see it.
func shortText(id string) string { return id[:min(8, len(id))] }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// list is printed one item a line, under a head.
func list(w io.Writer, head string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", head)
	for _, item := range items {
		fmt.Fprintf(w, "  - %s\n", item)
	}
}
