# What a person types here. Every target does its own set-up first; scripts/ does the work.
# Set-up is remembered by stamp files: it is redone when a lock file changes, and skipped otherwise.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
RUNNING := .venv/.ready-to-run
TESTING := .venv/.ready-to-test
BROWSER := .venv/.browser-is-here
NODE := node_modules/.ready
HLS := relay/web/pages/static/hls.mjs
AUDIO := .venv/.audio-is-here
NETWORK := .venv/.network-is-here
FUZZ := .venv/.fuzzer-is-here
SERVICE := .venv/.service-is-here
FANOUT := .venv/.fanout-is-here
LIBCAMERA := .cache/.libcamera-was-tried

# Options on the command line: CAMERA=lesson.mp4 for run, ARGS="-k whip" for test.
CAMERA ?=
ARGS ?=
TARGETS ?= demultiplexer stun sdp rtp rtcp whip
MINUTES ?= 30
FUZZ_SECONDS := $(if $(filter-out command line,$(origin SECONDS)),600,$(SECONDS))

# Half of the whole suite's time is waiting. What fills a core in real time still runs one at a time (tests/conftest.py).
SIDE_BY_SIDE := -n 2 --dist loadgroup
# On two cores that run a browser, a kit and a relay each, one test in thousands meets a stall that is longer than what it
# shows. So what fails there is told, and run once more with nothing beside it; what fails then has failed.
ALONE := --last-failed --last-failed-no-failures none

IMAGE_FAMILY := $(or $(FAMILY),pi5)
# The emulated image's processor, for scripts/image.sh and the tests that boot what it made.
export IMAGE_ARCH := $(or $(ARCH),amd64)
IMAGE_CARD := .cache/image$(if $(filter-out amd64,$(IMAGE_ARCH)),-$(IMAGE_ARCH))/card

.PHONY: help run test test-audio check bench bench-fanout fuzz soak screenshots wiring lock test-install test-network test-bucket test-libcamera test-emulated image image-emulated boot-image test-image test-power-cuts clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 15

run: $(RUNNING) $(HLS) ## start a relay and a simulated kit here; CAMERA=lesson.mp4 plays a video of yours instead
	@exec $(PY) -m scripts.demo $(if $(CAMERA),--camera "$(CAMERA)")

test: $(TESTING) $(BROWSER) $(NODE) $(SERVICE) $(LIBCAMERA) ## run all tests; ARGS="-k whip" chooses
	$(if $(ARGS),$(PY) -m pytest $(ARGS),$(PY) -m pytest $(SIDE_BY_SIDE) || { [ $$? = 1 ] && $(PY) -m pytest $(ALONE); })
	$(if $(ARGS),,npm run --silent test)

test-audio: $(TESTING) $(AUDIO) ## run the microphone on real PortAudio, ALSA and PulseAudio; no sound card is needed
	$(PY) -m pytest tests/appliance/capture/test_microphone.py tests/conformance/test_microphone.py $(ARGS)

check: $(TESTING) $(NODE) ## lint, format, types (Python and the pages) and import rules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	npm run --silent check
	$(PY) -m pytest -q tests/test_architecture.py tests/test_documents.py

bench: $(TESTING) $(BROWSER) $(HLS) $(LIBCAMERA) ## measure all that is promised, Janus beside us, a lesson of 10 min at the end; needs root
	@! [ -e .cache/emulation-root.made-of ] || scripts/emulation_root.sh kit
	$(PY) -m bench
	$(MAKE) bench-fanout
	$(MAKE) soak MINUTES=10

bench-fanout: $(TESTING) $(BROWSER) $(FANOUT) ## measure the relay's cost per viewer beside Janus; takes 8 min and needs root
	scripts/fanout_network.sh $(PY) -m bench.fanout.duel

fuzz: $(TESTING) $(FUZZ) ## look for bytes that break the relay; SECONDS=600 for each target, TARGETS="sdp rtp" chooses
	@for target in $(TARGETS); do $(PY) -m tests.fuzz $$target --seconds $(FUZZ_SECONDS); done

soak: $(TESTING) $(BROWSER) $(HLS) ## run one long lesson and see that nothing grows; MINUTES=30
	$(PY) -m bench.soak --minutes $(MINUTES)

screenshots: $(TESTING) $(BROWSER) $(HLS) ## take the README's pictures from the running thing
	$(PY) -m scripts.screenshots

wiring: $(RUNNING) ## draw docs/images/wiring.svg anew from the default pin map
	$(PY) -m scripts.wiring

lock: $(RUNNING) ## write requirements/*.txt anew from pyproject.toml; UPGRADE=1 moves to the newest versions
	scripts/lock.sh

test-install: $(TESTING) $(HLS) ## prove that the wheel is whole, and that kit and relay each install on their own
	$(PY) -m pytest tests/scripts/test_install.py

test-network: $(TESTING) $(BROWSER) $(NETWORK) ## run what needs networks of its own: TURN, a phone that moves; needs root
	$(PY) -m pytest tests/network $(ARGS)

test-bucket: $(TESTING) ## keep recordings in a bucket: a real S3 server is built for it, which takes some minutes
	@scripts/set_up.sh s3
	$(PY) -m pytest tests/relay/archive/test_files.py tests/relay/test_kept_lesson.py $(ARGS)

test-libcamera: $(TESTING) ## run the Raspberry Pi's camera code on the real libcamera, with its virtual camera; needs root
	@scripts/set_up.sh emulation
	@scripts/emulation_root.sh make
	@scripts/emulation_root.sh test $(ARGS)

test-emulated: $(TESTING) $(HLS) ## boot a whole kit in a virtual machine, press its button, kill it and hang it; needs root
	@scripts/set_up.sh emulation
	@scripts/emulation_vm.sh make
	PARTA_MACHINE=1 $(PY) -m pytest -s tests/emulation/test_whole_kit.py $(ARGS)

image: $(TESTING) ## make a Pi's image; FAMILY=pi4, pi5, cm4, cm5, pi3 or zero2w. Needs Raspberry Pi's archive
	@scripts/image.sh pi $(IMAGE_FAMILY)

image-emulated: $(TESTING) $(HLS) ## make the image that boots here under QEMU, of the same layers; ARCH=arm64: for a Pi's processor; needs root
	@scripts/set_up.sh emulation $(IMAGE_ARCH)
	@scripts/image.sh emulated

boot-image: image-emulated ## boot it, with its serial console here; Ctrl-A X pulls the plug
	@mkdir -p $(IMAGE_CARD) && scripts/image.sh boot $(IMAGE_CARD)

test-image: image-emulated ## boot the image and prove what docs/image.md promises of it; needs root
	PARTA_IMAGE=1 $(PY) -m pytest -s tests/image $(ARGS)

test-power-cuts: image-emulated ## cut its power: 25 times or CUTS in starts and lessons, 5 times in an update; LOT=7: at other moments; two hours; needs root
	PARTA_POWER_CUTS=$(or $(CUTS),25) $(if $(LOT),PARTA_POWER_CUTS_LOT=$(LOT)) \
		$(PY) -m pytest -s tests/image/test_power_cuts.py tests/image/test_power_cuts_of_updates.py $(ARGS)

clean: ## remove what make made: environments, caches, the demo's state
	rm -rf .venv node_modules .demo .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(RUNNING): requirements/running.txt requirements/uv.txt pyproject.toml scripts/set_up.sh
	@scripts/set_up.sh python running
	@touch $@

$(TESTING): requirements/testing.txt requirements/uv.txt pyproject.toml scripts/set_up.sh
	@scripts/set_up.sh python testing
	@touch $@ $(RUNNING) # running.txt is a part of testing.txt

$(BROWSER): scripts/set_up.sh | $(TESTING)
	@scripts/set_up.sh browser
	@touch $@

$(AUDIO): requirements/sound.txt scripts/set_up.sh | $(TESTING)
	@scripts/set_up.sh audio
	@touch $@

$(SERVICE): requirements/service.txt scripts/set_up.sh | $(TESTING)
	@scripts/set_up.sh service
	@touch $@

$(LIBCAMERA): scripts/set_up.sh scripts/emulation_root.sh scripts/emulation_parts.sh requirements/emulation.txt | $(TESTING)
	@scripts/set_up.sh libcamera
	@touch $@

$(FUZZ): requirements/fuzz.txt scripts/set_up.sh | $(TESTING)
	@scripts/set_up.sh fuzz
	@touch $@

$(NETWORK): scripts/set_up.sh | $(TESTING)
	@scripts/set_up.sh network
	@touch $@

$(FANOUT): scripts/set_up.sh | $(TESTING)
	@scripts/set_up.sh fanout
	@touch $@

$(NODE): package-lock.json package.json scripts/set_up.sh
	@scripts/set_up.sh node
	@touch $@

# After all tools, when both are wanted: they bring it along.
$(HLS): package-lock.json | $(if $(filter test check,$(MAKECMDGOALS)),$(NODE))
	@scripts/set_up.sh hls
