# `make` lists the targets. Everything they do is in tools/ (`python3 -m tools COMMAND --help`).
PYTHON ?= python3
LOCAL := $(PYTHON) -m tools

.DEFAULT_GOAL := help
MIGRATIONS = $(LOCAL) operate migrations $(subst migrate-,,$@) $(if $(SCHEMA),--schema $(SCHEMA)) $(if $(VERSION),--version $(VERSION)) $(ARGS)

.PHONY: migrate-status migrate-apply migrate-verify migrate-baseline migrate-repair
.PHONY: help up down destroy preview review refresh drift streams trim keys size objects undelete backup restore drill env pulumi clean docs docs-open test bench lint format

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up:  ## Bring up the local stack: engine, servers, every resource (the first time builds for minutes)
	@$(LOCAL) up $(ARGS)

preview:  ## Show what `up` would change (ARGS=--expect-no-changes fails if there is something)
	@$(LOCAL) preview $(ARGS)

review:  ## The preview as reviewers see it in a pull request (STACK=dev for another stack)
	@$(LOCAL) review $(if $(STACK),--stack $(STACK)) $(ARGS)

refresh:  ## Look what was changed by hand in the stores; the next `up` puts it right
	@$(LOCAL) refresh $(ARGS)

drift:  ## Compare the stores with the mapping, in words; exits 2 when something differs (ARGS=--json)
	@$(LOCAL) operate drift $(ARGS)

migrate-status:  ## Say at which version each schema is, and what is pending (SCHEMA=vuln, ARGS=--json)
	@$(MIGRATIONS)

migrate-apply:  ## Run pending migrations (SCHEMA=vuln for one schema); `up` does it, too
	@$(MIGRATIONS)

migrate-verify:  ## Compare files, history, triggers, owners and indexes; exits 2 when something is off
	@$(MIGRATIONS)

migrate-baseline:  ## Adopt a schema whose tables exist already: SCHEMA=vuln VERSION=2 (default: the newest)
	@$(MIGRATIONS)

migrate-repair:  ## Accept an edited migration that the database has already: SCHEMA=vuln VERSION=2
	@$(MIGRATIONS)

streams:  ## Show Valkey streams: length, groups, lag, pending entries and dead consumers (ARGS=--json)
	@$(LOCAL) operate streams $(ARGS)

trim:  ## Remove stream entries past their retention, never silently what a group has not finished (ARGS=--json)
	@$(LOCAL) operate trim $(ARGS)

keys:  ## Check every Valkey key's pattern, type and TTL (ARGS="--json", "--prometheus", "--rate 10000")
	@$(LOCAL) operate keys $(ARGS)

size:  ## Expected Valkey memory by key pattern, from the mapping's estimates, against maxmemory (ARGS=--json)
	@$(LOCAL) operate size $(ARGS)

objects:  ## Audit what lies in the buckets against the layout; exits 2 when something is wrong (BUCKET=blobs)
	@$(LOCAL) operate objects $(if $(BUCKET),--bucket '$(BUCKET)') $(ARGS)

undelete:  ## Restore the last version of an object: make undelete KEY=evidence/bundle-1/manifest.json
	@$(LOCAL) operate undelete '$(KEY)' $(ARGS)

backup:  ## Back up PostgreSQL and Valkey into the bucket (ARGS=--list, --check, --wal or --follow)
	@$(LOCAL) operate backup $(ARGS)

restore:  ## Restore beside the running stores: STORE=postgres|valkey TO=latest|"2026-11-25 10:15" (or NAME=...)
	@$(LOCAL) operate restore $(if $(STORE),--store $(STORE)) $(if $(TO),--to "$(TO)") $(if $(NAME),--name $(NAME)) $(ARGS)

drill:  ## Back up, lose, restore and verify, all of it; prints what it took and how much was lost
	@$(LOCAL) operate drill $(ARGS)

env:  ## Print what a module needs to connect: eval "$(make -s env MODULE=scanner)"
	@$(LOCAL) env $(MODULE)

pulumi:  ## Run the engine on the local stack: make pulumi ARGS="stack output contract"
	@$(LOCAL) pulumi $(ARGS)

.PHONY: kubernetes-plugin
kubernetes-plugin:  ## Build the official Kubernetes plugin, where it can't be downloaded, and install it for pulumi
	@$(LOCAL) kubernetes-plugin

down:  ## Stop the servers; data stay
	@$(LOCAL) down

destroy:  ## Remove every resource, then stop the servers (asks; YES=1 does not)
	@$(LOCAL) destroy $(if $(YES),--yes) $(ARGS)

clean:  ## Remove the local stack with all its data (asks; FORCE=1 does not)
	@$(LOCAL) clean $(if $(FORCE),--force)

docs:  ## Write docs/reference from the mapping, and the site docs/site/index.html
	@$(LOCAL) docs

docs-open:  ## The same, and open the site in a browser
	@$(LOCAL) docs --open

test:  ## Prove it: lint, then all tests, on servers of their own (ARGS goes to pytest)
	@$(LOCAL) lint
	@$(LOCAL) test $(ARGS)

bench:  ## Measure speed: a table and a plot (ARGS="--rounds 3 --factors 1,4,40 --write"; --help)
	@$(LOCAL) bench $(ARGS)

lint:  ## Check style, types, migrations, and that generated files are current
	@$(LOCAL) lint

format:  ## Put the style right
	@$(LOCAL) format
