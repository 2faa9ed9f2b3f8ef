# Tandem's own make targets. `make help` lists them.

GO      ?= go
TOOLS    = $(GO) tool -modfile=.ci/tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X github.com/tandem-mesos/tandem/pkg/version.Version=$(VERSION)
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
# What a benchmark or a fuzz target is run for.
BENCHTIME ?= 1s
FUZZTIME  ?= 10s

.PHONY: help run build test test-short test-v2 test-page lint package proto proto-check tidy-check sim sim-breakages chaos conform bench fuzz clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build both programs and run examples/hello.yaml on an embedded Mesos
	./bin/tandem local --wait examples/hello.yaml

build: ## build bin/tandem and bin/tandem-executor
	$(BUILD) -o bin/tandem ./scheduler
	$(BUILD) -o bin/tandem-executor ./executor

test: setup lint proto-check tidy-check ## every test, with the race detector; installs what it needs
	$(GO) test -race -timeout 20m ./...

test-short: ## the tests of the packages alone, without race detector and whole-system tests
	$(GO) test -short ./pkg/... ./scheduler/... ./executor/... ./proto/...

test-v2: setup ## the tests that meet cgroups, on a kernel with cgroup v2 of their own
	$(GO) test -count 1 -v ./integration/uml/ ./integration/cgroupv2/

test-page: setup ## the tests of the web page, in a headless Chromium; SHOTS=dir writes pictures of it
	$(GO) test -count 1 -v ./scheduler/ui $(if $(SHOTS),-shots $(abspath $(SHOTS)))

.PHONY: setup
setup: # Debian packages that tests use, when root; says what is missing otherwise
	@.ci/setup

lint: ## gofmt, go vet, staticcheck and, where its database can be reached, govulncheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOLS) staticcheck ./...
	@.ci/vulncheck

proto: ## generate Go, and docs/jobs.md, from proto/
	$(TOOLS) buf lint
	$(TOOLS) buf generate

proto-check: ## fail when what `make proto` writes is stale
	$(TOOLS) buf lint
	@old=$$(mktemp -d) && cp -r proto docs/jobs.md "$$old" && $(TOOLS) buf generate && \
	  if ! diff -r proto "$$old/proto" >/dev/null || ! cmp -s docs/jobs.md "$$old/jobs.md"; then \
	    echo "what is generated from proto/ was stale; it is fresh now: commit it"; rm -rf "$$old"; exit 1; fi; rm -rf "$$old"

tidy-check: ## fail when go.mod or go.sum is not what `go mod tidy` writes
	$(GO) mod tidy -diff

sim: ## simulate whole clusters with faults: SEEDS=2000 of them, or SEED=n alone with all that happens; SCALE=400 times as large, LENGTH=100h
	$(GO) test ./scheduler/core -run 'TestSimulation$$' -count 1 -timeout 0 -v \
	  $(if $(SEED),-sim.seed $(SEED),-sim.seeds $(or $(SEEDS),2000)) $(if $(SCALE),-sim.scale $(SCALE)) $(if $(LENGTH),-sim.length $(LENGTH))

chaos: ## kill a scheduler RUNS=200 times at random moments while a team works with it
	$(GO) test ./integration -run 'TestChaos$$' -count 1 -timeout 0 -v -chaos.runs $(or $(RUNS),200) $(if $(SEED),-chaos.seed $(SEED))

sim-breakages: ## hold that the simulation finds each of a list of mistakes in the core
	$(GO) test ./scheduler/core -run 'TestBreakages$$' -count 1 -timeout 0 -v -sim.breakages

conform: ## replay a real Mesos's recorded traffic against the embedded one
	@summary=$$(mktemp) && status=0 && \
	  $(GO) test ./pkg/localmesos/conform -run 'TestScenarios$$' -count 1 -parallel 8 -replay -summary "$$summary" || status=$$?; \
	  cat "$$summary"; rm -f "$$summary"; exit $$status

bench: ## run every benchmark once (BENCHTIME=1s)
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -benchmem ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	GO='$(GO)' FUZZTIME='$(FUZZTIME)' .ci/fuzz

package: build ## make a Debian package of both programs in dist/ (GOARCH=arm64 for another machine)
	.ci/package "$(VERSION)"

clean: ## remove what was built
	rm -rf bin dist
