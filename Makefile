# Each target calls a command of bin/ that you can also run by hand.
.DEFAULT_GOAL := help
.PHONY: help up down status demo test test-debian13 lint bench

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## install and start everything
	@bin/up

down: ## stop everything; data and secrets stay
	@bin/down

status: ## show every program and its health
	@bin/status

demo: ## kill the IMS web process and watch it heal
	@bin/ims demo

test: ## run all tests
	@bin/bootstrap dev
	@# In collection order, not by size: the acceptance tests are few but take longest, so they start first.
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-debian13: ## run the tests of units, runs and healing on Debian 13, as root
	@.ci/debian13 $(ARGS)

lint: ## check code, types, playbooks and YAML
	@bin/bootstrap dev
	@bin/lint

bench: ## measure against the targets, write docs/performance.md
	@bin/bootstrap dev
	@for name in $(basename $(notdir $(wildcard benchmarks/bench_*.py))); do \
		echo "== $$name"; .venv/bin/python -m "benchmarks.$$name" --write $(ARGS) || exit 1; \
	done
