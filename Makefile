# make check runs everything that CI runs. The tests alone are `go test ./...`.

CACHE ?= $(or $(HOLDFAST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/holdfast)
LINT_VERSION := v2.15.0
LINT := $(CACHE)/golangci-lint-$(LINT_VERSION)/golangci-lint

# The packages with goroutines of their own; the race detector costs too much for all.
RACE := ./node/... ./erasure/fanout/... ./meta/... ./object/... ./cluster/... ./api/s3/... ./cmd/... \
        ./internal/telemetry/... ./internal/listen/... ./internal/rpc/...

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: build check test race fmt vet lint clients faults cluster compose generate

build:
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o holdfast ./cmd/holdfast

# The tests come last, so that their summary is the last thing to read.
check: fmt vet lint race clients faults cluster compose test

test:
	go test ./...

race:
	go test -race -short $(RACE)

fmt:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...

lint: $(LINT)
	$(LINT) run ./...

# Built from source once a version; about three minutes on two cores.
$(LINT):
	GOBIN=$(dir $(LINT)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

# Real S3 clients against a fresh server; add MC=/path/to/mc for that one.
clients:
	scripts/clients/run

# A server broken on purpose, in short form; `go run ./scripts/faults kill --rounds 50` is the long one.
faults:
	go run ./scripts/faults kill --rounds 8
	go run ./scripts/faults drives --rounds 2
	go run ./scripts/faults flip --rounds 5

# Six nodes and a front in network namespaces: one of each kind of fault. All of them, in half an hour:
# `go run ./scripts/faults cluster`.
cluster:
	scripts/able namespaces go run ./scripts/faults cluster --short

# Five containers by docker-compose; scripts/compose/run without --short also runs a real S3 client.
compose:
	scripts/able docker scripts/compose/run --short

generate:
	go generate ./...
