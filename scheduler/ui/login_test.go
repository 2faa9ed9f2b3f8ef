package ui_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/tandem-mesos/tandem/integration/browser"
	"github.com/tandem-mesos/tandem/scheduler/access"
)

// TestPeopleLogIn: the page shows nothing to who is not known, everything that
// its token lets it see to who is, and nothing again after the logout.
func TestPeopleLogIn(t *testing.T) {
	dir := t.TempDir()
	who := access.Options{TokensFile: filepath.Join(dir, "tokens"), RulesFile: filepath.Join(dir, "rules")}
	for path, content := range map[string]string{
		who.TokensFile: fmt.Sprintf("ann sha256:%x\n", sha256.Sum256([]byte("open-sesame"))),
		who.RulesFile:  "rules: [{who: [token:ann], right: read, jobs: [/payments/*]}]",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base, _, _ := serveTo(t, who, team(2), "")
	p := browser.Open(t, base, "/")
	p.AwaitText("h1", "Log in")
	p.Await(`document.activeElement.id === "token"`)
	p.Type("sesame" + kb.Enter)
	p.AwaitText("#refused", "the token is not known")
	p.Await(`(document.activeElement.value = "", true)`)
	p.Type("open-sesame" + kb.Enter)
	p.AwaitText("tbody", "/payments/api")
	p.AwaitText("#who", "token:ann")
	p.Await(`!document.body.textContent.includes("/ml/training")`)
	p.Await(`!document.cookie.includes("tandem")`)
	p.Click("#who button")
	p.AwaitText("h1", "Log in")
}
