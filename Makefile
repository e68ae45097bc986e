# What a person does twice. Every target works from a fresh clone; KUBECONFIG, when set, names the cluster to use.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What the tests run beside Python.
TEST_PACKAGES := git:git shellcheck:shellcheck e2fsprogs:mkfs.ext4 util-linux:losetup xfsprogs:mkfs.xfs tmux:tmux

.PHONY: help demo test test-chaos test-unit lint image release cluster cluster-down

help: ## what there is to make
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## shrink the volumes of a running StatefulSet in a real cluster, and check every promise
	hack/with-cluster.sh python hack/demo

test: ## all tests, on a real cluster and as root too
	hack/need-packages.sh $(TEST_PACKAGES)
	hack/with-cluster.sh hack/side-by-side.sh 'pytest -m cluster' "pytest -m 'not cluster'"
	@# By itself: what the other tests clean up at the end of their session needs the cluster that these take away.
	hack/with-cluster.sh pytest --localcluster tests/localcluster

test-chaos: ## 30 migrations with killed runners and movers; kubelet, API server, node stopped; a queue; VOLRESIZE_CHAOS_SEED repeats one
	hack/need-packages.sh $(TEST_PACKAGES)
	hack/kueue.sh >/dev/null
	hack/with-cluster.sh pytest --chaos tests/chaos tests/e2e/test_kueue.py

test-unit: ## the tests that need neither a cluster nor root
	hack/need-packages.sh git:git shellcheck:shellcheck
	hack/venv.sh
	.venv/bin/pytest -m 'not cluster and not root'

lint: ## flake8, mypy, the rules of import, shellcheck
	hack/need-packages.sh git:git shellcheck:shellcheck
	hack/venv.sh
	.venv/bin/flake8
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	git ls-files --cached --others --exclude-standard '*.sh' .ci/run | xargs shellcheck --external-sources --source-path=SCRIPTDIR

image: ## build mauricethomas/volmig, and load it into the cluster if one is up
	hack/build-migrator-image.sh

release: ## dist/: manifests to install, the plugin as one archive, its entry for krew
	hack/generate-release.sh

cluster: ## bring up a test cluster: kind where Docker runs, one of our own elsewhere
	hack/cluster.sh up

cluster-down: ## take it away again
	hack/cluster.sh down
