package ledger

import (
	"fmt"
	"io"
)

// Row is a line of a table: a name, and a value for each run.
type Row struct {
	Name   string
	Values []any
}

// Rows are the counters that every report has.
func Rows(runs []*Counters) []Row {
	var rows []Row
	for _, line := range []struct {
		name  string
		value func(*Counters) int
	}{
		{"messages", func(c *Counters) int { return c.Messages }},
		{"recipients", func(c *Counters) int { return c.Recipients }},
		{"acknowledged", func(c *Counters) int { return c.Acked }},
		{"refused", func(c *Counters) int { return c.Refused }},
		{"unknown", func(c *Counters) int { return c.Unknown }},
		{"LOSS", func(c *Counters) int { return c.Loss }},
		{"PHANTOM", func(c *Counters) int { return c.Phantom }},
		{"DUP", func(c *Counters) int { return c.Dup }},
		{"DUP_UNEXPLAINED", func(c *Counters) int { return c.DupUnexplained }},
		{"GARBLED", func(c *Counters) int { return c.Garbled }},
		{"MISROUTED", func(c *Counters) int { return c.Misrouted }},
		{"FALSE_BOUNCE", func(c *Counters) int { return c.FalseBounce }},
		{"STUCK", func(c *Counters) int { return c.Stuck }},
	} {
		row := Row{Name: line.name}
		for _, c := range runs {
			row.Values = append(row.Values, line.value(c))
		}
		rows = append(rows, row)
	}
	return rows
}

// Table prints rows.
func Table(w io.Writer, rows []Row) {
	for _, r := range rows {
		fmt.Fprintf(w, "%-18s", r.Name)
		for _, v := range r.Values {
			fmt.Fprintf(w, " %14v", v)
		}
		fmt.Fprintln(w)
	}
}
