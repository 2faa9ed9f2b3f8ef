// Package page makes what masters and agents show to a person in a browser, who asks for
// HTML by name at endpoints that give JSON to everybody else. All pages look alike, and
// need nothing from any other address.
//
// The package must never know what is on a page.
package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

//go:embed begin.html
var begin string

// Page is a kind of page. It is safe for concurrent use.
type Page struct{ template *template.Template }

// Must returns the page of a template, which begins with the template "begin" of a
// title: all up to the styles that every page has. It panics if the text is no template,
// as texts that are part of a program are.
func Must(text string) *Page {
	return &Page{template.Must(template.Must(template.New("page").Parse(begin)).Parse(text))}
}

// Wanted reports whether a request asks for a page.
func Wanted(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// Write answers with the page of some data. After an error nothing was sent.
func (p *Page) Write(w http.ResponseWriter, r *http.Request, data any) error {
	var body bytes.Buffer
	if err := p.template.Execute(&body, data); err != nil {
		return fmt.Errorf("cannot make the page: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	wire.WriteBody(w, r, "text/html; charset=utf-8", body.Bytes())
	return nil
}
