package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
)

// panel is a group of bars.
type panel struct {
	title string
	bars  []bar
}

type bar struct {
	name string
	ms   float64
}

// panels returns the panels of the chart:
//   - the next call after a success of true; for a program without a memory, any call
//   - a first run and a replay of 100 MiB of output
//
// An earlier idem has no bar.
func (r *result) panels() []panel {
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(w row) bool { return w.Name == before.row(idem) })
	again := panel{title: "true, done before: the next call"}
	for _, row := range rows {
		f := r.figure(row.Name, "true", replay)
		if f == nil && row.Name != bare && row.Name != spawned {
			f = r.figure(row.Name, "true", first)
		}
		again.add(row.Name, f)
	}
	slices.SortStableFunc(again.bars, func(a, b bar) int { return int((a.ms - b.ms) * 1000) })
	kept, shown := panel{title: "100 MiB of output, kept"}, panel{title: "100 MiB of output, replayed"}
	for _, row := range rows {
		if f := r.figure(row.Name, "100 MiB", replay); f != nil {
			shown.add(row.Name, f)
			if row.Name != catted {
				kept.add(row.Name, r.figure(row.Name, "100 MiB", first))
			}
		} else if row.Name == teed {
			kept.add("command "+teed, r.figure(row.Name, "100 MiB", first))
		}
	}
	return slices.DeleteFunc([]panel{again, kept, shown}, func(p panel) bool { return len(p.bars) == 0 })
}

func (p *panel) add(name string, f *figure) {
	if f != nil && f.N > 0 {
		p.bars = append(p.bars, bar{name, f.Median / 1000})
	}
}

// The measures of the chart in pixels, and its colours. Pages with a white and with a
// black background show the chart, so the colours can be read on both.
const (
	width, left, right = 720, 220, 90
	line, gap          = 22, 20
	text, green, grey  = "#7a7a7a", "#1f9d63", "#8a94a3"
)

// chart returns the chart as SVG. The bars of a panel have the same scale.
func (r *result) chart() []byte {
	var body bytes.Buffer
	y := 8
	for _, p := range r.panels() {
		y += line
		fmt.Fprintf(&body, "<text x=\"0\" y=\"%d\" font-weight=\"600\">%s</text>\n", y, escape(p.title))
		y += 10
		longest := 0.0
		for _, b := range p.bars {
			longest = max(longest, b.ms)
		}
		for _, b := range p.bars {
			colour, weight := grey, "400"
			if b.name == idem {
				colour, weight = green, "600"
			}
			length := max(1, b.ms/longest*(width-left-right))
			fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-weight=\"%s\">%s</text>\n", left-10, y+15, weight, escape(b.name))
			fmt.Fprintf(&body, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>\n", left, y+3, length, line-6, colour)
			fmt.Fprintf(&body, "<text x=\"%.1f\" y=\"%d\" font-weight=\"%s\">%s ms</text>\n", left+length+6, y+15, weight, digits(b.ms))
			y += line
		}
		y += gap
	}
	m := r.Machine
	fmt.Fprintf(&body, "<text x=\"0\" y=\"%d\" font-size=\"11\">%s</text>\n", y, escape(fmt.Sprintf("medians, %s, %s, %d cores, %s, commit %s",
		r.Date.Format("2006-01-02"), m.CPU, m.Cores, m.FileSystem, m.Commit)))

	var svg bytes.Buffer
	fmt.Fprintf(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"%s\">\n", width, y+10, width, y+10, text)
	fmt.Fprintf(&svg, "<title>%s</title>\n", escape(r.headline()))
	svg.Write(body.Bytes())
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

// headline returns the figures of the chart as text, for readers who cannot see it.
func (r *result) headline() string {
	s := "What a call of idem takes, in milliseconds"
	for _, p := range r.panels() {
		for i, b := range p.bars {
			sep := ", "
			if i == 0 {
				sep = ". " + p.title + ": "
			}
			s += sep + b.name + " " + digits(b.ms)
		}
	}
	return s
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer returns no error
	return b.String()
}
