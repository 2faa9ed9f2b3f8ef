// Package browser drives a headless Chromium for tests of the page. It must
// never reach beyond this machine, and fails a test whose page asks for
// anything from elsewhere, throws, or is held back by its own policy.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait: long enough for a slow machine, and no measure of
// anything.
const patience = 60 * time.Second

// Page is one tab.
type Page struct {
	t   *testing.T
	ctx context.Context
	// base is the only address that it may ask.
	base string
}

// Open starts a browser that ends with the test, and opens a path of the server
// at base. It skips the test where there is no Chromium.
func Open(t *testing.T, base, path string) *Page {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("there is no chromium on this machine; Debian's package of that name has it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1360, 900),
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		// Waits until the browser has let go of its directory.
		_ = chromedp.Cancel(ctx)
		cancel()
	})
	p := &Page{t: t, ctx: ctx, base: base}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatalf("cannot start the browser: %v", err)
	}
	_, networkErr := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, logErr := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, runtimeErr := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	if err := errors.Join(networkErr, logErr, runtimeErr); err != nil {
		t.Fatalf("cannot listen to the browser: %v", err)
	}
	p.Goto(path)
	return p
}

// hear fails the test for what a page must not do.
func (p *Page) hear(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, p.base+"/") && !strings.HasPrefix(url, "data:") {
			p.t.Errorf("the page asks for %s", url)
		}
	case *runtime.EventExceptionThrown:
		p.t.Errorf("the page has thrown: %s", describe(e.ExceptionDetails))
	case *log.EventEntryAdded:
		// A server that is stopped is told of as an error of the network.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			p.t.Errorf("the browser complains: %s", e.Entry.Text)
		}
	}
}

func describe(e *runtime.ExceptionDetails) string {
	if e.Exception != nil && e.Exception.Description != "" {
		return e.Exception.Description
	}
	return e.Text
}

func (p *Page) do(action chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	run(p, action)
}

func run[T any](p *Page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("cannot drive the browser: %v", err)
	}
	return v
}

// Await waits until a JavaScript expression is true.
func (p *Page) Await(expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		if Value[bool](p, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s has not come to hold; the page reads:\n%s", expression, p.Text("body"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// AwaitText waits until what a selector finds has the text in it.
func (p *Page) AwaitText(selector, text string) {
	p.t.Helper()
	p.Await("document.querySelector(" + quote(selector) + ")?.innerText.includes(" + quote(text) + ")")
}

// Text returns what a selector's first element reads.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Value[string](p, "document.querySelector("+quote(selector)+")?.innerText ?? ''")
}

// Value returns the value of a JavaScript expression.
func Value[T any](p *Page, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression))
}

// Click clicks on the first visible element that a selector finds.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// Type sends keys to whatever has the focus. Keys beyond letters are those of
// chromedp's package kb.
func (p *Page) Type(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// Goto opens another path, as from the address bar.
func (p *Page) Goto(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.base + path))
}

// Colours has the page drawn in the light or the dark, as its reader prefers.
func (p *Page) Colours(dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		p.t.Fatalf("cannot change the browser's colours: %v", err)
	}
}

// Width makes the window as wide as that, in CSS pixels.
func (p *Page) Width(pixels int64) {
	p.t.Helper()
	run(p, chromedp.EmulateViewport(pixels, 900))
}

// Heard returns what the page has for a screen reader, in no certain order: each thing
// with its role and its name, such as "link Jobs".
func (p *Page) Heard() []string {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.t.Fatalf("cannot ask the browser what a screen reader is told: %v", err)
	}
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			_ = json.Unmarshal(v.Value, &s) // what is no text has no name
		}
		return s
	}
	var heard []string
	for _, n := range tree.Nodes {
		if !n.Ignored {
			heard = append(heard, text(n.Role)+" "+text(n.Name))
		}
	}
	return heard
}

// Shoot writes a picture of the page, in the light or the dark.
func (p *Page) Shoot(file string, dark bool) {
	p.t.Helper()
	p.Colours(dark)
	picture := run(p, chromedp.FullScreenshot(100))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
