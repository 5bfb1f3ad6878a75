# `make` lists the targets: short forms of `python3 -m tools COMMAND`, which docs/commands.md describes.
PYTHON ?= python3
TOOLS := $(PYTHON) -m tools
WITH_YES = $(if $(filter 1 y yes true,$(YES)),--yes)
WITH_STACK = $(if $(STACK),--stack '$(STACK)')
MIGRATIONS = $(TOOLS) migrations $(subst migrate-,,$@) $(WITH_STACK) $(if $(SCHEMA),--schema '$(SCHEMA)')

.DEFAULT_GOAL := help

.PHONY: help
help:
	@$(TOOLS) --make-targets

.PHONY: up preview refresh down destroy clean env pulumi
up preview refresh:
	@$(TOOLS) $@ $(ARGS)

down:
	@$(TOOLS) down $(ARGS)

destroy clean:
	@$(TOOLS) $@ $(WITH_YES) $(ARGS)

env:
	@$(TOOLS) env $(if $(MODULE),'$(MODULE)')

pulumi:
	@$(TOOLS) pulumi $(ARGS)

.PHONY: drift streams trim keys size objects undelete backup restore drill
drift streams trim keys size backup drill:
	@$(TOOLS) $@ $(WITH_STACK) $(ARGS)

objects:
	@$(TOOLS) objects $(WITH_STACK) $(if $(BUCKET),--bucket '$(BUCKET)') $(ARGS)

undelete:
	@$(TOOLS) undelete $(WITH_STACK) $(if $(KEY),'$(KEY)') $(ARGS)

restore:
	@$(TOOLS) restore $(WITH_STACK) $(if $(STORE),--store '$(STORE)') $(if $(TO),--to '$(TO)') $(if $(NAME),--name '$(NAME)') $(ARGS)

.PHONY: migrate-status migrate-apply migrate-verify migrate-baseline migrate-repair
migrate-status migrate-apply migrate-verify:
	@$(MIGRATIONS) $(ARGS)

migrate-baseline migrate-repair:
	@$(MIGRATIONS) $(if $(VERSION),--version '$(VERSION)') $(ARGS)

.PHONY: review
review:
	@$(TOOLS) review $(WITH_STACK) $(ARGS)

.PHONY: docs docs-open
docs:
	@$(TOOLS) docs $(ARGS)

docs-open:
	@$(TOOLS) docs --open

.PHONY: test bench lint format kubernetes-plugin
test:
	@$(TOOLS) lint
	@$(TOOLS) test $(ARGS)

bench:
	@$(TOOLS) bench $(ARGS)

lint format kubernetes-plugin:
	@$(TOOLS) $@
