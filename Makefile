# Nodeward. `make help` tells the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -o pipefail -c

MVN := mvn -B -q -ntp
# The JDK 25 that builds and runs the agent; JAVA25=/path overrides. Maven itself may run on an older one.
JAVA25 ?= $(shell for d in "$${JAVA_HOME:-}" /usr/lib/jvm/*25* /usr/lib/jvm/* /opt/*25* /Library/Java/JavaVirtualMachines/*25*/Contents/Home; do \
	[ -x "$$d/bin/javac" ] && "$$d/bin/javac" -version 2>&1 | grep -q '^javac 25' && echo "$$d" && break; done)
SCENARIO ?= tour
AREA ?= all
VERSION := $(shell sed -n 's:^  <version>\(.*\)</version>$$:\1:p' pom.xml)
AOT ?= yes
DIST := target/dist/nodeward-$(VERSION)
# A class of the test tree, with what the bench's own socket calls need.
BENCH_RUN = "$(JAVA25)/bin/java" -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED \
	--sun-misc-unsafe-memory-access=allow -Dnodeward.target=target -Dnodeward.basedir=. -cp "target/test-classes:target/classes:$$(cat target/test.classpath)"
GJF := com.google.googlejavaformat:google-java-format:1.34.1:jar:all-deps
GJF_JAR := target/tools/google-java-format-1.34.1-all-deps.jar
GJF_RUN = "$(JAVA25)/bin/java" $(foreach p,api code file parser tree util,--add-exports=jdk.compiler/com.sun.tools.javac.$(p)=ALL-UNNAMED) -jar $(GJF_JAR)
SOURCES = $(shell find agent/java src/test/java -name '*.java')

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: tools
tools:
	@command -v mvn >/dev/null || { echo "make: Maven is missing: install the package maven (Debian, Ubuntu: apt-get install maven)" >&2; exit 1; }
	@[ -n "$(JAVA25)" ] || { echo "make: a JDK 25 is missing: install the package temurin-25-jdk or openjdk-25-jdk, or give its directory as JAVA25=" >&2; exit 1; }

.PHONY: build
build: tools ## build the agent into target/agent (bin/agent and its jars)
	$(MVN) package -DskipTests -Dmaven.test.skip=true
	install -p -D -m 0755 agent/bin/agent target/agent/bin/agent

.PHONY: packaged
packaged: tools
	$(MVN) -Psbom package -DskipTests dependency:build-classpath -Dmdep.includeScope=test -Dmdep.outputFile=target/test.classpath
	@install -p -D -m 0755 agent/bin/agent target/agent/bin/agent

.PHONY: run
run: packaged ## run the agent on a simulated node: SCENARIO=tour boot spot asg-terminate maintenance reboot runtime-hang
	@JAVA_HOME="$(JAVA25)" "$(JAVA25)/bin/java" -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
		-cp "target/test-classes:target/classes:$$(cat target/test.classpath)" \
		nodeward.simulator.Simulator target/agent/bin/agent target/run $(SCENARIO)

.PHONY: dist
dist: packaged ## pack the agent with its runtime as target/dist/nodeward-VERSION-linux-ARCH.tar.gz, trained on the simulated node: AOT=yes no
	@JAVA25="$(JAVA25)" agent/packaging/dist "$(VERSION)" "$(AOT)"

.PHONY: image
image: dist ## an OCI image of it from scratch, as a tar in target/dist; needs no Docker and no registry (Debian, packages dash and iptables)
	@agent/packaging/image/build "$(VERSION)"

.PHONY: sysext
sysext: dist ## a system extension of it for Flatcar in target/dist (package squashfs-tools)
	@agent/packaging/sysext "$(VERSION)"

.PHONY: install
install: dist ## install it below DESTDIR=, with no need of systemd there
	@mkdir -p "$(DESTDIR)/"
	@agent/bin/agent-install --root "$(DESTDIR)" install "$(DIST)"

# Where the files are published; the default is an example.
URL ?= https://example.com/nodeward
.PHONY: ignition
ignition: packaged ## render Butane, Ignition, cloud-config and EKS user data into target/ignition: URL= VERSION= SHA512= ARCH=
	@$(BENCH_RUN) nodeward.ignition.Rendering . target/ignition "VERSION=$(VERSION)" "URL=$(URL)" "SHA512=$(SHA512)" "ARCH=$(ARCH)"

.PHONY: bench
bench: dist ## measure the agent beside its targets and, where Go is found, its peers: AREA=footprint gate credentials proxy drain termination health
	@peers=; bin=; if command -v go >/dev/null; then peers=$$(src/test/cluster/peers/build) && bin=$$(src/test/cluster/build | tail -n 1); \
		else echo "bench: go is not installed: no peer and no real API server is measured (package golang)" >&2; fi; \
	CLUSTER_BIN="$$bin" JAVA_HOME="$(JAVA25)" $(BENCH_RUN) nodeward.bench.Bench $(DIST)/bin/agent target/bench "$${peers:-target/no-peers}" $(AREA)

.PHONY: test
test: tools ## unit and component tests
	mvn -B -ntp test

.PHONY: e2e-tools
e2e-tools:
	@[ "$$(id -u)" = 0 ] || { echo "make e2e: root is needed: a test node has namespaces, mounts and iptables of its own" >&2; exit 1; }
	@command -v mksquashfs >/dev/null || { echo "make e2e: mksquashfs is missing: install the package squashfs-tools" >&2; exit 1; }
	@command -v go >/dev/null || { echo "make e2e: Go is missing: install the package golang-go, or from go.dev" >&2; exit 1; }

FUZZ_SECONDS ?= 120
.PHONY: fuzz
fuzz: packaged ## look for bytes that get what they should not or break a reader: FUZZ_SECONDS=120
	"$(JAVA25)/bin/java" -Xmx512m -cp "target/test-classes:target/classes:$$(cat target/test.classpath)" \
		nodeward.metadata.RequestFuzz target/fuzz $(FUZZ_SECONDS)
	"$(JAVA25)/bin/java" -Xmx512m -cp "target/test-classes:target/classes:$$(cat target/test.classpath)" \
		nodeward.linux.NetlinkFuzz target/fuzz-netlink $(FUZZ_SECONDS)

# One class waits for five minutes; it asks to run beside the others, which run one after the other.
.PHONY: e2e
e2e: e2e-tools build dist ## end-to-end tests on a real control plane and a real node; needs root and Go
	bin=$$(src/test/cluster/build | tail -n 1) && sdk=$$(src/test/sdk/build) && tree=$$(src/test/machine/build) && \
	ignition=$$(src/test/ignition/build) && \
	CLUSTER_BIN=$$bin SDK_CLIENTS=$$sdk MACHINE_TREE=$$tree IGNITION_BIN=$$ignition mvn -B -ntp test -Dtest.groups=e2e -Dtest.excludedGroups=none \
		-Djunit.jupiter.execution.parallel.enabled=true \
		-Djunit.jupiter.execution.parallel.config.strategy=fixed -Djunit.jupiter.execution.parallel.config.fixed.parallelism=2

.PHONY: lint
lint: tools fmt-check ## Error Prone, NullAway and the format
	mvn -B -ntp -Plint compile

.PHONY: fmt
fmt: tools $(GJF_JAR) ## format the sources
	@$(GJF_RUN) --replace $(SOURCES)

.PHONY: fmt-check
fmt-check: tools $(GJF_JAR)
	@$(GJF_RUN) --dry-run --set-exit-if-changed $(SOURCES) || { echo "make: the files above are not formatted: run make fmt" >&2; exit 1; }

$(GJF_JAR):
	$(MVN) dependency:copy -Dartifact=$(GJF) -DoutputDirectory=target/tools

.PHONY: clean
clean: ## remove what was built
	rm -rf target
