package report

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// The static part of a page is for readers without JavaScript. The script replaces the rows
// of the two tables.

const (
	// staticLanes and staticRows are how many rows the static tables have.
	staticLanes = 1000
	staticRows  = 200
	// openConcerns is how many concerns are in sight at once.
	openConcerns = 12
)

// markup is text that is HTML.
type markup = strings.Builder

var esc = html.EscapeString

// timeTag is a time in UTC, which the script shows in the zone of the viewer.
func timeTag(t time.Time) string {
	t = t.UTC()
	return `<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04") + ` UTC</time>`
}

func sign(s State) string {
	return fmt.Sprintf(`<span class="sign s%d">%s</span>`, s, words[s])
}

// about is the line below the title.
func (r *Report) about() string {
	return fmt.Sprintf("%s on %s. From %s to %s. Made %s by idem %s.", esc(r.Ledger), esc(r.Host), timeTag(r.From), timeTag(r.To), timeTag(r.Made), esc(r.Version))
}

// counts are the numbers at the top.
func (r *Report) counts() string {
	var b markup
	var states [batch + 1]int // with steps and items, as the script selects them
	for _, k := range r.Keys {
		states[k.State]++
	}
	link := func(class string, n int, what, rest string) {
		fmt.Fprintf(&b, `<a class="%s" %s><b>%s</b>%s</a>`, class, rest, grouped(n), what)
	}
	link("s2", len(r.Concerns)+r.Hidden, "need attention", `href="#attention" data-scroll`)
	link("s2", states[failed]+states[timeout], "failed", `href="#s=failed"`)
	link("s5", states[interrupted], "interrupted", `href="#s=interrupted"`)
	link("s4", states[running], "running", `href="#s=running"`)
	all := r.Phases.Total()
	link("s0", all, keyWord(all), `href="#"`)
	return b.String()
}

func keyWord(n int) string {
	if n == 1 {
		return "key"
	}
	return "keys"
}

// attention is the section of what needs attention.
func (r *Report) attention() string {
	var b markup
	b.WriteString(`<section id="attention" aria-labelledby="attention-title"><h2 id="attention-title">Needs attention</h2>` + "\n")
	switch {
	case len(r.Keys) == 0 && len(r.Old) == 0 && len(r.Concerns) == 0:
		b.WriteString(`<p class="help">Nothing is recorded in this range.</p>` + "\n")
	case len(r.Concerns) == 0:
		b.WriteString(`<p class="help">Nothing: no key is interrupted, no failure in this range is without a later success` + noneIdle(r.LateUnknown) + ".</p>\n")
	default:
		b.WriteString(`<p class="help">As it was at ` + timeTag(r.Made) + `. Look at a key again before you settle it.</p>` + "\n" + `<ul class="attention">` + "\n")
		for i, c := range r.Concerns {
			if i == openConcerns {
				fmt.Fprintf(&b, `</ul><details class="rest"><summary>%s more</summary><ul class="attention">`+"\n", grouped(len(r.Concerns)-i))
			}
			r.writeConcern(&b, c)
		}
		b.WriteString("</ul>\n")
		if len(r.Concerns) > openConcerns {
			b.WriteString("</details>\n")
		}
	}
	if r.Hidden > 0 {
		fmt.Fprintf(&b, `<p class="help">And %s more.</p>`+"\n", grouped(r.Hidden))
	}
	if r.LateUnknown {
		b.WriteString(`<p class="help">The range ends in the past: this page does not judge whether a job is late.</p>` + "\n")
	}
	if r.FailedBefore > 0 {
		fmt.Fprintf(&b, `<p class="help">Not listed: %s failed before this range, without a later success.</p>`+"\n", plural(r.FailedBefore, "key"))
	}
	if n := len(r.Overcome) + r.OvercomeHidden; n > 0 {
		fmt.Fprintf(&b, `<details class="rest"><summary>%s failed in a window, and succeeded in a later one</summary><ul class="attention">`+"\n", plural(n, "key"))
		for _, c := range r.Overcome {
			r.writeConcern(&b, c)
		}
		b.WriteString("</ul>\n")
		if r.OvercomeHidden > 0 {
			fmt.Fprintf(&b, `<p class="help">And %s more.</p>`+"\n", grouped(r.OvercomeHidden))
		}
		b.WriteString("</details>\n")
	}
	b.WriteString("</section>")
	return b.String()
}

// noneIdle ends the sentence that nothing needs attention.
func noneIdle(lateUnknown bool) string {
	if lateUnknown {
		return ", and no job that recurs has missed a window"
	}
	return ", and no job that recurs is late or has missed a window"
}

func (r *Report) writeConcern(b *markup, c Concern) {
	fmt.Fprintf(b, `<li class="s%d">`, min(c.State, interrupted))
	switch {
	case len(c.Commands) == 0:
		b.WriteString(`<p class="concern">` + r.concernLine(c) + "</p>")
	case c.State == interrupted:
		b.WriteString(`<details open><summary class="concern">` + r.concernLine(c) + "</summary>")
	default:
		b.WriteString(`<details><summary class="concern">` + r.concernLine(c) + "</summary>")
	}
	if c.Tail != "" {
		b.WriteString(`<pre tabindex="0" role="group" aria-label="the last lines of the output">` + esc(c.Tail) + "</pre>\n")
	}
	if len(c.Commands) > 0 {
		writeCommands(b, c.Commands)
		b.WriteString("</details>")
	}
	b.WriteString("</li>\n")
}

// concernLine says in a line what needs attention, why and since when.
func (r *Report) concernLine(c Concern) string {
	var b markup
	word := sign(c.State)
	if c.State == retry {
		word = `<span class="sign s5">○ did not run</span>`
	}
	fmt.Fprintf(&b, `%s <b class="key">%s</b>`, word, esc(c.Name))
	if c.Window != "" {
		b.WriteString(` <span class="space key">` + esc(c.Window) + `</span>`)
	}
	if r.severalSpaces() {
		b.WriteString(` <span class="space">in ` + esc(c.Space) + `</span>`)
	}
	b.WriteString(` <span class="why">` + esc(c.Why) + `</span> <span class="began">`)
	if c.State == retry {
		b.WriteString("last run ")
	}
	b.WriteString(timeTag(c.Since))
	if c.Host != "" {
		b.WriteString(" on " + esc(c.Host))
	}
	b.WriteString("</span>")
	return b.String()
}

func writeCommands(b *markup, list []Command) {
	b.WriteString(`<dl class="commands">`)
	for _, one := range list {
		b.WriteString("<dt>" + esc(one[0]) + "</dt><dd><code>" + esc(one[1]) + "</code></dd>")
	}
	b.WriteString("</dl>")
}

func (r *Report) severalSpaces() bool {
	return slices.ContainsFunc(r.Lanes, func(l Lane) bool { return l.Namespace != r.Lanes[0].Namespace })
}

// lanes are the rows of the table of jobs.
func (r *Report) lanes() string {
	var b markup
	list := slices.Clone(r.Lanes)
	slices.SortStableFunc(list, func(x, y Lane) int {
		if x.Concerns != y.Concerns {
			return y.Concerns - x.Concerns
		}
		if n := y.failures() - x.failures(); n != 0 {
			return n
		}
		return strings.Compare(x.Name, y.Name)
	})
	for i, l := range list {
		if i == staticLanes {
			fmt.Fprintf(&b, `<tr><td colspan="8">and %s more</td></tr>`+"\n", plural(len(list)-i, "job"))
			break
		}
		last := "–"
		if !l.LastRun.IsZero() {
			last = timeTag(l.LastRun)
		}
		space := ""
		if r.severalSpaces() {
			space = ` <span class="space">` + esc(l.Namespace) + `</span>`
		}
		fmt.Fprintf(&b, `<tr><th scope="row"><span class="key">%s</span>%s</th><td class="number">%s</td><td class="number">%d</td><td class="number">%d</td>`,
			esc(laneName(l)), space, grouped(l.Attempts()), l.failed(), l.lost())
		fmt.Fprintf(&b, `<td class="number wide">%s</td><td class="number wide">%s</td><td class="when wide">%s</td><td class="strip"></td></tr>`+"\n",
			durationText(l.Median), durationText(l.P95), last)
	}
	return b.String()
}

// runRows are the rows of the table of keys: those that did not succeed, the latest first.
func (r *Report) runRows() (rows string, n int) {
	latest := map[int32]Run{}
	for _, run := range r.Runs {
		latest[run.Key] = run
	}
	var list []Run
	for key, run := range latest {
		if state := r.Keys[key].State; state >= failed && state <= interrupted {
			list = append(list, run)
		}
	}
	slices.SortFunc(list, func(x, y Run) int { return cmp.Compare(y.Start, x.Start) })
	var b markup
	for i, run := range list {
		k := r.Keys[run.Key]
		if i == staticRows {
			fmt.Fprintf(&b, `<tr><td colspan="8">and %s more</td></tr>`+"\n", plural(len(list)-i, "key"))
			break
		}
		exit := "–"
		if run.Exit >= 0 {
			exit = strconv.Itoa(int(run.Exit))
		}
		fmt.Fprintf(&b, `<tr><td>%s</td><td class="number">%s</td><td class="when">%s</td><td class="key">%s</td><td class="wide when">%s</td><td class="number wide">%d</td><td class="number wide">%s</td><td class="wide">%s</td></tr>`+"\n",
			sign(k.State), durationText(time.Duration(run.Took)*time.Millisecond), timeTag(time.UnixMilli(run.Start)), esc(k.Name), esc(k.Window), run.Number, exit, esc(r.Hosts[run.Host]))
	}
	return b.String(), len(list)
}

// foot says what is not in the page.
func (r *Report) foot() string {
	var b markup
	for _, line := range r.Foot {
		b.WriteString("<p>" + esc(line) + "</p>\n")
	}
	return b.String()
}

// durationText has two units if the first one is below 10, as 2_time.js writes durations.
func durationText(d time.Duration) string {
	pair := func(n, size int, big, small string) string {
		if n%size == 0 {
			return fmt.Sprintf("%d %s", n/size, big)
		}
		return fmt.Sprintf("%d %s %d %s", n/size, big, n%size, small)
	}
	switch {
	case d < 0:
		return "–"
	case d.Milliseconds() < 1000:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	s := int(math.Round(d.Seconds()))
	minutes := int(math.Round(float64(s) / 60))
	hours := int(math.Round(float64(minutes) / 60))
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 600:
		return pair(s, 60, "min", "s")
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 600:
		return pair(minutes, 60, "h", "min")
	case hours < 24:
		return fmt.Sprintf("%d h", hours)
	case hours < 240:
		return pair(hours, 24, "d", "h")
	}
	return fmt.Sprintf("%d d", int(math.Round(float64(hours)/24)))
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}

// grouped writes a number with commas between thousands.
func grouped(n int) string { return humanize.Comma(int64(n)) }
