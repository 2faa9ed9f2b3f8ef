package ui_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/tandem-mesos/tandem/integration/browser"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// faint lists each pair of colours on the page whose text stands out from what
// is behind it by less than 4.5 to 1, the least that WCAG 2.1 asks for in its
// criterion 1.4.3 (level AA); the formulas are of its definitions of "contrast
// ratio" and "relative luminance". Controls that cannot be used are exempt there.
const faint = `(() => {
	const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
	const light = (colour) => {
		const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const colour = getComputedStyle(e).backgroundColor;
			if (channels(colour)[3] !== 0) return colour;
		}
		return "rgb(255, 255, 255)";
	};
	const found = new Set();
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || !e.checkVisibility() || e.closest(".unseen, .skip, noscript, option, :disabled")) continue;
		const text = getComputedStyle(e).color, ground = behind(e);
		const [low, high] = [light(text), light(ground)].sort((a, b) => a - b);
		const ratio = (high + 0.05) / (low + 0.05);
		if (ratio < 4.5) found.add(ratio.toFixed(2) + " to 1 for " + text + " on " + ground + ", such as " + texts.currentNode.data.trim().slice(0, 40));
	}
	return [...found];
})()`

// TestEveryViewCanBeRead: the text of each view stands out from its ground, in
// the light and in the dark.
func TestEveryViewCanBeRead(t *testing.T) {
	base, _, c := serve(t, team(5), "ready\n")
	c.explanation = &tandemv1.Explanation{Waiting: 2, Summary: "no agent has been offered yet"}
	p := browser.Open(t, base, "/")
	for _, path := range views {
		show(p, path)
		for scheme, dark := range map[string]bool{"light": false, "dark": true} {
			p.Colours(dark)
			for _, pair := range browser.Value[[]string](p, faint) {
				t.Errorf("%s in the %s: %s", path, scheme, pair)
			}
		}
	}
	// What is measured can be told from what is not.
	p.Colours(false)
	if pairs := browser.Value[[]string](p, `(document.querySelector("h1").style.color = "#999", `+faint+`)`); len(pairs) != 1 {
		t.Errorf("grey on the page's ground is found as %q", pairs)
	}
}

// controls selects what the focus can go to.
const controls = "a[href], button, input, select, summary"

// TestFocusGoesAsTheEyeDoes: Tab reaches every control of a view, in the order
// in which they are read, and each shows that it has the focus.
func TestFocusGoesAsTheEyeDoes(t *testing.T) {
	base, _, _ := serve(t, team(5), "ready\n")
	p := browser.Open(t, base, "/")
	for _, path := range []string{"/", "/jobs/payments/api", "/tasks/payments_api.0.1.web", "/agents", "/volumes", "/events"} {
		show(p, path)
		// What the page is told after it is live replaces some of its controls.
		p.Await(`(() => {
			const now = [...document.querySelectorAll("` + controls + `")];
			if (now.length !== window.seen?.length || now.some((e, n) => e !== seen[n])) {
				window.seen = now;
				window.since = performance.now();
			}
			return performance.now() - since > 500;
		})()`)
		// Controls are given numbers as they are read, and the focus begins above them.
		count := browser.Value[int](p, `(() => {
			document.activeElement?.blur();
			getSelection().removeAllRanges();
			const controls = [...document.querySelectorAll("`+controls+`")].filter((e) => e.checkVisibility() && !e.disabled);
			controls.forEach((e, n) => e.dataset.read = n);
			return controls.length;
		})()`)
		var order, want []int
		for n := range count {
			want = append(want, n)
			p.Type(kb.Tab)
			at := browser.Value[int](p, `(() => {
				// A place that scrolls takes the focus, too; it is no control.
				const e = document.activeElement;
				return e.dataset.read === undefined ? -1 : Number(e.dataset.read);
			})()`)
			if at < 0 {
				p.Type(kb.Tab)
				at = browser.Value[int](p, `Number(document.activeElement.dataset.read ?? -1)`)
			}
			order = append(order, at)
			if style := browser.Value[string](p, `getComputedStyle(document.activeElement).outlineStyle`); style == "none" {
				t.Errorf("%s: control %d does not show that it has the focus", path, at)
			}
		}
		if !slices.Equal(order, want) {
			t.Errorf("%s: the focus goes to %v of %d controls", path, order, count)
		}
	}
}

// TestEveryViewFitsATelephone: no view is wider than a narrow window, and nothing on it
// goes on to the side, however long the names on it are. What is a table for a screen
// reader stays one.
func TestEveryViewFitsATelephone(t *testing.T) {
	saved := team(5)
	long := "/payments/" + strings.Repeat("a", 60)
	saved.Jobs = append(saved.Jobs, jobRecord(long, 1, tandemv1.JobPhase_JOB_PHASE_PENDING, "waiting: "+strings.Repeat("b", 400)))
	saved.Instances = append(saved.Instances, instanceRecord(long, 0, running, ""))
	saved.Attempts = append(saved.Attempts, attemptRecord(long, 0, tandemv1.TaskState_TASK_RUNNING, strings.Repeat("c", 400)))
	base, _, _ := serve(t, saved, "ready\n")
	p := browser.Open(t, base, "/")
	p.Width(390)
	for _, path := range []string{"/", "/jobs" + long, "/jobs/ml/training", "/tasks/payments_" + strings.Repeat("a", 60) + ".0.1.web", "/agents", "/volumes", "/events", "/jobs/gone"} {
		show(p, path)
		if wide := browser.Value[int](p, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
			t.Errorf("%s is %d pixels wider than its window", path, wide)
		}
		for _, hidden := range browser.Value[[]string](p, `[...document.querySelectorAll("main *")]
			.filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === "auto")
			.map((e) => e.tagName + " " + e.className + " with " + e.innerText.slice(0, 40))`) {
			t.Errorf("%s has something that goes on to the side: %s", path, hidden)
		}
		if *shots != "" {
			p.Shoot(filepath.Join(*shots, "narrow"+strings.NewReplacer("/", "_", ".", "_").Replace(path[:min(len(path), 30)])+".png"), false)
		}
	}

	show(p, "/jobs/payments/api")
	p.AwaitText(".count", "5 instances")
	heard := p.Heard()
	for _, want := range []string{"table Instances of /payments/api", "columnheader Phase", "rowheader 3", "cell agent03", "link web"} {
		if !slices.Contains(heard, want) {
			t.Errorf("in a narrow window a screen reader finds no %s among %q", want, heard)
		}
	}
}
